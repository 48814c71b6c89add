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
    """Return a folder with one subfolder per class; the gray level of an image shows its class."""
    for label, name in enumerate(["cat", "dog", "eel"]):
        (tmp_path / name).mkdir()
        for i in range(6):
            image = Image.new("L", (20 + i, 20), 100 * label + i)
            image.save(tmp_path / name / f"{i}.{'png' if i % 2 else 'bmp'}")
    (tmp_path / "cat/notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_images_are_decoded_on_demand(folder: Path) -> None:
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
    subset = split_dataset(source, val_split=0.2, test_split=0.2)["train"]
    assert len(subset) == 10
    alone, helped = (
        list(batch_loader(subset.dataset, BatchSampler(subset.index_range, 4, seed=5), num_workers=n))
        for n in (0, 2)
    )
    assert len(alone) == 3
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a["images"], b["images"])
        assert torch.equal(a["labels"], b["labels"])
        assert a["seed"] == b["seed"]


def test_other_files_are_counted_by_extension(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("L", (9, 9)).save(folder / "dog/photo.JFIF", format="JPEG")
    for name in ("dog/a.jxl", "eel/b.jxl", "eel/LICENSE"):
        (folder / name).write_bytes(b"")
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    assert "dog/photo.JFIF" in dataset.files
    assert len(dataset) == 19
    assert caplog.messages == [
        f"{folder}: files without the extension of an image are left out: 2 .jxl, 1 .txt, 1 without"
    ]


def test_split_like_folder_without_images_is_ignored(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("splits")
    (root / "train").symlink_to(folder)
    (root / "test").symlink_to(folder)
    (root / "eval").mkdir()
    (root / "eval/scores.json").touch()
    assert image_folder(str(root), size=8, channels=1).classes == ["cat", "dog", "eel"]


def test_folders_named_like_splits_are_used_as_splits(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("splits")
    (root / "train").symlink_to(folder)
    (root / "test").symlink_to(folder)
    source = image_folder(str(root), size=8, channels=1)
    subsets = split_dataset(source, val_split=0.5, test_split=0.1)
    assert {name: len(subset) for name, subset in subsets.items()} == {"train": 9, "val": 9, "test": 18}
    (root / "val").symlink_to(folder)
    subsets = split_dataset(source, val_split=0.5, test_split=0.1)
    assert {name: len(subset) for name, subset in subsets.items()} == {"train": 18, "val": 18, "test": 18}


@pytest.mark.parametrize(
    ("name", "hint"), [("fox", "remove or rename it, or add images there"), ("Cat", "rename it to cat")]
)
def test_class_missing_in_training_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, name: str, hint: str
) -> None:
    root = tmp_path_factory.mktemp("splits")
    (root / "train").symlink_to(folder)
    (root / f"test/{name}").mkdir(parents=True)
    Image.new("L", (4, 4)).save(root / f"test/{name}/x.png")
    with pytest.raises(InputError, match=f"test: {name} not among the training classes in .*train; {hint}"):
        image_folder(str(root), size=8, channels=1).open("test")


def test_class_missing_in_validation_has_no_images_there(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("splits")
    (root / "train").symlink_to(folder)
    (root / "valid").mkdir()
    (root / "valid/eel").symlink_to(folder / "eel")
    dataset = image_folder(str(root), size=8, channels=1).open("val")
    assert dataset.labels.tolist() == [2] * 6


def test_accented_letters_are_the_same_in_either_form(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("splits")
    for split, images, name in (("train", "cat", "\u00e9"), ("train", "dog", "b"), ("val", "cat", "e\u0301")):
        (root / split).mkdir(exist_ok=True)
        (root / split / name).symlink_to(folder / images)
    source = image_folder(str(root), size=8, channels=1)
    assert source.classes == ["b", "\u00e9"]
    dataset = source.open("val")
    assert dataset.labels.tolist() == [1] * 6
    assert dataset.read(np.array([0]))[1].tolist() == [1]


def test_classes_are_in_natural_order(folder: Path) -> None:
    for name in ("11", "2", "0", "1", "10", "cat10", "cat9"):
        (folder / name).mkdir()
        Image.new("L", (4, 4)).save(folder / name / "x.png")
    source = image_folder(str(folder), size=8, channels=1)
    assert source.classes == ["0", "1", "2", "10", "11", "cat", "cat9", "cat10", "dog", "eel"]
    assert source.open("train").files[:5] == [f"{name}/x.png" for name in (0, 1, 2, 10, 11)]


@pytest.mark.parametrize(("file", "counts"), [("x.JXL", "1 .jxl"), ("n01440764_1", "1 without")])
def test_class_whose_images_cannot_be_read_is_refused_or_skipped(
    folder: Path, caplog: pytest.LogCaptureFixture, file: str, counts: str
) -> None:
    (folder / "fox").mkdir()
    (folder / "fox" / file).touch()
    with pytest.raises(
        InputError, match=rf"fox holds only {counts}, .* data\.source\.on_empty_class=skip"
    ) as error:
        image_folder(str(folder), size=8, channels=1).open("train")
    assert "\n" not in str(error.value)
    source = image_folder(str(folder), size=8, channels=1, on_empty_class="skip")
    assert source.classes == ["cat", "dog", "eel"]
    assert f"fox holds only {counts}; the folder is left out" in caplog.text


def test_folder_of_other_files_is_not_a_class(folder: Path) -> None:
    (folder / "labels").mkdir()
    (folder / "labels/boxes.xml").touch()
    assert image_folder(str(folder), size=8, channels=1).classes == ["cat", "dog", "eel"]


def test_runs_within_the_data_are_not_a_class(folder: Path) -> None:
    run = folder / "outputs/2026-01-31/12-00-00"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").touch()
    Image.new("L", (4, 4)).save(run / "confusion.png")
    (folder / "outputs/latest").symlink_to(run)
    assert image_folder(str(folder), size=8, channels=1).classes == ["cat", "dog", "eel"]


def test_class_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    name = os.path.join(os.fsencode(folder), b"f\xfcr")
    try:
        Path(os.fsdecode(name)).mkdir()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    Image.new("L", (4, 4)).save(os.path.join(os.fsdecode(name), "x.png"))
    with pytest.raises(InputError, match=r"f\\udcfcr.* rename it"):
        image_folder(str(folder), size=8, channels=1).open("train")


def test_links_below_a_class_are_followed_once(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("a/1.png", "b/2.png"):
        (elsewhere / name).parent.mkdir()
        Image.new("L", (4, 4)).save(elsewhere / name)
    (elsewhere / "b/loop").symlink_to(elsewhere)
    (folder / "fox").mkdir()
    (folder / "fox/part").symlink_to(elsewhere / "b")
    (folder / "fox/whole").symlink_to(elsewhere)
    (folder / "gone").symlink_to("nowhere")
    files = image_folder(str(folder), size=8, channels=1).open("train").files
    assert [file for file in files if file.startswith("fox")] == ["fox/part/2.png", "fox/whole/a/1.png"]
    assert f"{folder / 'gone'}: left out, because the target of the link does not exist" in caplog.messages
    (folder / "cat/more").symlink_to(elsewhere / "a")
    with pytest.raises(InputError, match=r"leads to the same images as a link in .*cat; remove one"):
        image_folder(str(folder), size=8, channels=1).open("train")


def test_hidden_files_and_folders_are_skipped(folder: Path) -> None:
    (folder / "cat/._1.jpg").write_bytes(b"resource fork")
    (folder / ".ipynb_checkpoints").mkdir()
    Image.new("L", (4, 4)).save(folder / ".ipynb_checkpoints/x.png")
    source = image_folder(str(folder), size=8, channels=1)
    assert source.classes == ["cat", "dog", "eel"]
    assert len(source.open("train")) == 18


def test_folder_without_splits_has_no_test_images(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.test_split"):
        image_folder(str(folder), size=8, channels=1).open("test")


def test_damaged_image_error_names_it(folder: Path) -> None:
    (folder / "dog/1.png").write_bytes(b"nothing")
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    with pytest.raises(InputError, match=r"dog/1\.png: not an image"):
        dataset.read(np.arange(18))


def test_missing_folder_and_single_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        image_folder(str(tmp_path / "no"), size=8, channels=1).open("train")
    (tmp_path / "one").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "one/x.png")
    with pytest.raises(InputError, match=r"at least two folders .* it has one"):
        image_folder(str(tmp_path), size=8, channels=1).open("train")


def test_unknown_fit_error_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="crop, pad, stretch"):
        image_folder("x", size=8, channels=1, fit="squeeze")


def damage_some(folder: Path) -> list[str]:
    """Add four files that cannot be decoded, one with an intact header, and return their names."""
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    (folder / "cat/1b.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:-2000])
    (folder / "whole.jpg").unlink()
    (folder / "dog/3.png").write_bytes(b"")
    (folder / "eel/0.bmp").write_bytes(b"<html>not found</html>")
    (folder / "eel/7.png").symlink_to("nowhere.png")
    return ["cat/1b.jpg", "dog/3.png", "eel/0.bmp", "eel/7.png"]


def test_truncated_image_is_found_by_decoding(folder: Path) -> None:
    damage_some(folder)
    with Image.open(folder / "cat/1b.jpg") as image:
        assert image.size == (90, 90)
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    with pytest.raises(InputError, match=r"cat/1b\.jpg: .*truncated.*data\.on_corrupt_image=skip") as error:
        dataset.read(np.arange(len(dataset)))
    assert "\n" not in str(error.value)


def test_corrupt_images_are_skipped_and_logged_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
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


def test_skipping_gives_the_order_of_a_folder_without_corrupt_images(folder: Path) -> None:
    bad = damage_some(folder)

    def read(on_corrupt_image: str, rank: int) -> list[tuple[list[int], list[int], int]]:
        source = image_folder(str(folder), size=8, channels=1)
        subsets = split_dataset(source, 0.2, 0.2, split_seed=3, on_corrupt_image=on_corrupt_image)
        subset = subsets["train"]
        sampler = BatchSampler(subset.index_range, 2, seed=5, rank=rank, world_size=2)
        sampler.start_at(0, 1)
        loader = batch_loader(subset.dataset, sampler)
        return [(b["images"].flatten().tolist(), b["labels"].tolist(), b["seed"]) for b in loader]

    skipped = [read("skip", rank) for rank in (0, 1)]
    for name in bad:
        (folder / name).unlink()
    assert skipped == [read("error", rank) for rank in (0, 1)]


def test_class_of_corrupt_images_is_refused(folder: Path) -> None:
    for path in (folder / "dog").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"dog: no image can be decoded"):
        image_folder(str(folder), size=8, channels=1).open("train", skip_corrupt=True)


def test_looping_links_neither_hang_nor_count_twice(
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


def test_folder_with_two_names_is_refused(folder: Path) -> None:
    (folder / "zebra").symlink_to(folder / "cat")
    with pytest.raises(InputError, match=r"zebra: the same folder as .*cat; remove one"):
        image_folder(str(folder), size=8, channels=1).open("train")


def test_pipe_is_refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "cat/0.png")
    dataset = image_folder(str(folder), size=8, channels=1).open("train")
    with pytest.raises(InputError, match=r"cat/0\.png: is a pipe, not a file"):
        dataset.read(np.arange(3))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to be read")
def test_failing_disk_does_not_count_as_a_corrupt_image(folder: Path) -> None:
    """One rank might skip the image and another not, and both would wait for each other."""
    (folder / "cat/x.png").symlink_to("/proc/self/mem")  # reading its first bytes is an I/O error
    with pytest.raises(InputError, match=r"cat/x\.png: Input/output error"):
        image_folder(str(folder), size=8, channels=1).open("train", skip_corrupt=True)


@contextmanager
def as_somebody() -> Iterator[None]:
    """Run as an ordinary user, since root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("locked", [".", "dog"])
def test_unreadable_folder_error_names_it(locked: str) -> None:
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


def test_empty_folder_is_refused(tmp_path: Path) -> None:
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


def test_scripts_skip_corrupt_images_or_name_the_first(
    script: Script, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Training and evaluation have the same splits, with worker processes."""
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
    assert "8 training, 4 validation, 4 test images" in trained.stdout
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
