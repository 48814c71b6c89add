import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Script
from PIL import Image

from mobilenet_lab.data.datasets.image_folder import image_folder
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import split_dataset
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The layout of the TensorFlow script: a folder a class; a image's grey level tells its class."""
    for label, name in enumerate(["cat", "dog", "eel"]):
        (tmp_path / name).mkdir()
        for i in range(6):
            image = Image.new("L", (20 + i, 20), 100 * label + i)
            image.save(tmp_path / name / f"{i}.{'png' if i % 2 else 'bmp'}")
    (tmp_path / "cat/notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_lists_names_and_decodes_on_demand(folder: Path) -> None:
    source = image_folder(str(folder), size=8, channels=1)
    assert source.classes == ["cat", "dog", "eel"]
    dataset = source.open("train")
    assert len(dataset) == 18
    images, labels = dataset.read(np.array([17, 0]))
    assert labels.tolist() == [2, 0]
    assert images.shape == (2, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert images[:, 0, 4, 4].tolist() == [205, 0]


def test_worker_processes_read_the_same_batches(folder: Path) -> None:
    source = image_folder(str(folder), size=8, channels=3)
    part = split_dataset(source, val_split=0.2, test_split=0.2, split_seed=0)["train"]
    assert len(part) == 10
    alone, helped = (
        list(batch_loader(part.dataset, BatchSampler(part.index_range, 4, seed=5), num_workers=n))
        for n in (0, 2)
    )
    assert len(alone) == 3
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a["images"], b["images"])
        assert torch.equal(a["labels"], b["labels"])
        assert a["seed"] == b["seed"]


def test_other_files_are_told_by_their_endings(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("L", (9, 9)).save(folder / "dog/photo.JFIF", format="JPEG")
    for name in ("dog/a.avif", "eel/b.avif", "eel/LICENSE"):
        (folder / name).write_bytes(b"")
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    assert "dog/photo.JFIF" in dataset.files
    assert len(dataset) == 19
    assert caplog.messages == [
        f"{folder}: files without the extension of an image are left out: 2 .avif, 1 .txt, 1 without"
    ]


@pytest.mark.parametrize("parts", [("Training", "Testing"), ("Train", "Test"), ("test", "val")])
def test_parts_are_no_classes(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("L", (9, 9)).save(tmp_path / part / name / "x.png")
    with pytest.raises(InputError, match="look like splits, not classes"):
        image_folder(str(tmp_path), size=8, channels=1).open("train")


@pytest.mark.parametrize("parts", [("train", "valid"), ("train", "test", "valid")])
def test_parts_by_other_names_are_neither_classes_nor_left_out(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, parts: tuple[str, ...]
) -> None:
    root = tmp_path_factory.mktemp("parts")
    for part, dataset in zip(parts, ("cat", "dog", "eel"), strict=False):
        (root / part).symlink_to(folder / dataset)
    with pytest.raises(InputError, match=r"train, valid look like splits, not classes"):
        _ = image_folder(str(root), size=8, channels=1).classes


def test_a_folder_without_images_beside_the_parts_is_none(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("parts")
    (root / "train").symlink_to(folder)
    (root / "test").symlink_to(folder)
    (root / "eval").mkdir()
    (root / "eval/scores.json").touch()
    assert image_folder(str(root), size=8, channels=1).classes == ["cat", "dog", "eel"]


def test_train_and_test_folders(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("parts")
    (root / "train").symlink_to(folder)
    (root / "test").symlink_to(folder)
    source = image_folder(str(root), size=8, channels=1)
    parts = split_dataset(source, val_split=0.5, test_split=0.1, split_seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 9, "val": 9, "test": 18}
    (root / "val").symlink_to(folder)
    parts = split_dataset(source, val_split=0.5, test_split=0.1, split_seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 18, "val": 18, "test": 18}


def test_classes_unknown_in_training_are_named(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("parts")
    (root / "train").symlink_to(folder)
    (root / "test/fox").mkdir(parents=True)
    Image.new("L", (4, 4)).save(root / "test/fox/x.png")
    with pytest.raises(InputError, match="test: fox: not among the training classes"):
        image_folder(str(root), size=8, channels=1).open("test")


def test_hidden_files_and_folders_are_left_out(folder: Path) -> None:
    (folder / "cat/._1.jpg").write_bytes(b"resource fork")
    (folder / ".ipynb_checkpoints").mkdir()
    Image.new("L", (4, 4)).save(folder / ".ipynb_checkpoints/x.png")
    source = image_folder(str(folder), size=8, channels=1)
    assert source.classes == ["cat", "dog", "eel"]
    assert len(source.open("train")) == 18


def test_one_folder_has_no_test_images_apart(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.test_split"):
        image_folder(str(folder), size=8, channels=1).open("test")


def test_damaged_image_is_named(folder: Path) -> None:
    (folder / "dog/1.png").write_bytes(b"nothing")
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    with pytest.raises(InputError, match=r"dog/1\.png: not an image"):
        dataset.read(np.arange(18))


def test_missing_folder_and_single_class(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        image_folder(str(tmp_path / "no"), size=8, channels=1).open("train")
    (tmp_path / "one").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "one/x.png")
    with pytest.raises(InputError, match=r"at least two folders .* it has one"):
        image_folder(str(tmp_path), size=8, channels=1).open("train")


def test_unknown_fit_lists_the_known() -> None:
    with pytest.raises(InputError, match="crop, pad, stretch"):
        image_folder("x", size=8, channels=1, fit="squeeze")


def damage_some(folder: Path) -> list[str]:
    """Four files that cannot be decoded, in four ways; the truncated ones have sound headers."""
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    (folder / "cat/1b.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:-2000])
    (folder / "whole.jpg").unlink()
    (folder / "dog/3.png").write_bytes(b"")
    (folder / "eel/0.bmp").write_bytes(b"<html>not found</html>")
    (folder / "eel/7.png").symlink_to("nowhere.png")
    return ["cat/1b.jpg", "dog/3.png", "eel/0.bmp", "eel/7.png"]


def test_a_truncated_image_has_a_sound_header(folder: Path) -> None:
    damage_some(folder)
    with Image.open(folder / "cat/1b.jpg") as image:
        assert image.size == (90, 90)
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    with pytest.raises(InputError, match=r"cat/1b\.jpg: .*truncated.*data\.on_corrupt_image=skip") as error:
        dataset.read(np.arange(len(dataset)))
    assert "\n" not in str(error.value)


def test_bad_images_are_left_out_and_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = damage_some(folder)
    source = image_folder(str(folder), size=8, channels=1)
    dataset = source.open("train", skip_corrupt=True)
    images, labels = dataset.read(np.arange(len(dataset)))
    assert labels.tolist() == [0] * 6 + [1] * 5 + [2] * 5
    (message,) = (message for message in caplog.messages if "data.on_corrupt_image" in message)
    assert "4 of 20 files" in message
    assert message.endswith(f"{', '.join(bad[:3])}, ...")
    assert all(
        abs(image.float().mean() - 100 * label) < 6 for image, label in zip(images, labels, strict=True)
    )


def test_what_is_left_is_ordered_as_if_the_bad_ones_were_not_there(folder: Path) -> None:
    bad = damage_some(folder)

    def read(on_corrupt_image: str, rank: int) -> list[tuple[list[int], list[int], int]]:
        source = image_folder(str(folder), size=8, channels=1)
        subsets = split_dataset(source, 0.2, 0.2, split_seed=3, on_corrupt_image=on_corrupt_image)
        part = subsets["train"]
        sampler = BatchSampler(part.index_range, 2, seed=5, rank=rank, world_size=2)
        sampler.start_at(0, 1)
        loader = batch_loader(part.dataset, sampler)
        return [(b["images"].flatten().tolist(), b["labels"].tolist(), b["seed"]) for b in loader]

    skipped = [read("skip", rank) for rank in (0, 1)]
    for name in bad:
        (folder / name).unlink()
    assert skipped == [read("error", rank) for rank in (0, 1)]


def test_a_class_without_any_image_that_can_be_decoded_is_named(folder: Path) -> None:
    for path in (folder / "dog").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"dog: no image can be decoded"):
        image_folder(str(folder), size=8, channels=1).open("train", skip_corrupt=True)


def test_links_that_loop_neither_hang_nor_count_twice(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "again").symlink_to(folder)
    (folder / "up").symlink_to(folder.parent)
    (folder / "itself").symlink_to("itself")
    (folder / "cat/loop").symlink_to(folder / "cat")
    (folder / "cat/all").symlink_to(folder)
    (folder / "cat/a.png").symlink_to("b.png")
    (folder / "cat/b.png").symlink_to("a.png")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Image.new("L", (4, 4)).save(elsewhere / "x.png")
    (folder / "fox").symlink_to(elsewhere)
    source = image_folder(str(folder), size=8, channels=1)
    assert source.classes == ["cat", "dog", "eel", "fox"]
    assert len(source.open("train", skip_corrupt=True)) == 19
    strict = source.open("train")
    with pytest.raises(InputError, match=r"a\.png: Too many levels of symbolic links"):
        strict.read(np.arange(len(strict)))


def test_one_folder_under_two_names_is_refused(folder: Path) -> None:
    (folder / "zebra").symlink_to(folder / "cat")
    with pytest.raises(InputError, match=r"zebra: the same folder as .*cat; remove one"):
        image_folder(str(folder), size=8, channels=1).open("train")


def test_a_pipe_is_no_image_and_nobody_waits_for_it(folder: Path) -> None:
    os.mkfifo(folder / "cat/0.png")
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    with pytest.raises(InputError, match=r"cat/0\.png: not a file"):
        dataset.read(np.arange(3))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to be read")
def test_a_failing_disk_is_not_taken_for_a_bad_image(folder: Path) -> None:
    """Left out by one rank but not by another, it would let them wait for each other."""
    (folder / "cat/x.png").symlink_to("/proc/self/mem")  # reading its first bytes is an I/O error
    with pytest.raises(InputError, match=r"cat/x\.png: Input/output error"):
        image_folder(str(folder), size=8, channels=1).open("train", skip_corrupt=True)


@contextmanager
def as_somebody() -> Iterator[None]:
    """Root may read everything: be an ordinary user for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("locked", [".", "dog"])
def test_a_folder_that_may_not_be_read_is_named(locked: str) -> None:
    with tempfile.TemporaryDirectory() as root, as_somebody():
        with tempfile.TemporaryDirectory() as mine:
            folder = Path(mine)
            for name in ("cat", "dog"):
                (folder / name).mkdir()
                Image.new("L", (4, 4)).save(folder / name / "x.png")
            (folder / locked).chmod(0)
            try:
                with pytest.raises(PermissionError) as error:
                    image_folder(mine, size=8, channels=1).open("train")
                assert Path(str(error.value.filename)).is_relative_to(folder / locked)
            finally:
                (folder / locked).chmod(0o700)
        assert root


def test_nothing_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs at least two folders with images.* it has none"):
        image_folder(str(tmp_path), size=8, channels=1).open("train")


TRAIN_TINY = (
    "model.filters=1",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "data.image_size=16",
    "data.batch_size=4",
    "data.test_split=0.25",
    "data.val_split=0.25",
)


def test_scripts_leave_bad_images_out_or_name_the_first(
    script: Script, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The whole way, worker processes included: the same parts in training and in evaluation."""
    bad = damage_some(folder)
    data = ("data=image_folder", f"data.root={folder}", *TRAIN_TINY)
    run = tmp_path_factory.mktemp("run")
    refused = script("train.py", *data, f"output_dir={run}/refused")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert any(f"{name}: " in refused.stderr for name in bad), refused.stderr
    assert "data.on_corrupt_image=skip" in refused.stderr
    trained = script("train.py", *data, "data.on_corrupt_image=skip", f"output_dir={run}/run")
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.count("4 of 20 files") == 1
    assert "8 images to train on, 4 held out, 4 to test" in trained.stdout
    here = tuple(setting for setting in data if not setting.startswith(("model.", "trainer.")))
    measured = script("evaluate.py", f"ckpt={run}/run", *here, "data.on_corrupt_image=skip")
    assert measured.returncode == 0, measured.stderr
    assert "of 4 images" in measured.stdout
    assert "4 of 20 files" in measured.stderr
    kept = script("evaluate.py", f"ckpt={run}/run", "data=image_folder", f"data.root={folder}", "split=val")
    assert "when the data set had 16 images, now it has 20" in kept.stderr
    (folder / "eel/5.png").unlink()
    fewer = script(
        "train.py", *data, "data.on_corrupt_image=skip", f"resume={run}/run", "trainer.max_epochs=2"
    )
    assert "the data set had 16 images and now has 15" in fewer.stdout
    wrong = script("evaluate.py", f"ckpt={run}/run", *here, "data.on_corrupt_image=ignore")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: data.on_corrupt_image=ignore: must be one of error, skip\n",
    )
