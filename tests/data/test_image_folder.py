from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_lab.data.batches import batch_loader, split_parts
from mobilenet_lab.data.image_folder import image_folder
from mobilenet_lab.data.order import BatchSampler
from mobilenet_lab.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The layout of the TensorFlow script: a folder a class; a picture's grey level tells its class."""
    for label, name in enumerate(["cat", "dog", "eel"]):
        (tmp_path / name).mkdir()
        for i in range(6):
            picture = Image.new("L", (20 + i, 20), 100 * label + i)
            picture.save(tmp_path / name / f"{i}.{'png' if i % 2 else 'bmp'}")
    (tmp_path / "cat/notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_lists_names_and_decodes_on_demand(folder: Path) -> None:
    source = image_folder(str(folder), size=8, channels=1)
    assert source.classes == ["cat", "dog", "eel"]
    pictures = source.open("train")
    assert len(pictures) == 18
    images, labels = pictures.read(np.array([17, 0]))
    assert labels.tolist() == [2, 0]
    assert images.shape == (2, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert images[:, 0, 4, 4].tolist() == [205, 0]


def test_worker_processes_read_the_same_batches(folder: Path) -> None:
    source = image_folder(str(folder), size=8, channels=3)
    part = split_parts(source, val_split=0.2, test_split=0.2, split_seed=0)["train"]
    assert len(part) == 10
    alone, helped = (
        list(batch_loader(part.pictures, BatchSampler(part.split, 4, seed=5), num_workers=n)) for n in (0, 2)
    )
    assert len(alone) == 3
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a["images"], b["images"])
        assert torch.equal(a["labels"], b["labels"])
        assert a["seed"] == b["seed"]


def test_train_and_test_folders(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("parts")
    (root / "train").symlink_to(folder)
    (root / "test").symlink_to(folder)
    source = image_folder(str(root), size=8, channels=1)
    parts = split_parts(source, val_split=0.5, test_split=0.1, split_seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 9, "val": 9, "test": 18}
    (root / "val").symlink_to(folder)
    parts = split_parts(source, val_split=0.5, test_split=0.1, split_seed=0)
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


def test_one_folder_has_no_test_pictures_apart(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.test_split"):
        image_folder(str(folder), size=8, channels=1).open("test")


def test_damaged_picture_is_named(folder: Path) -> None:
    (folder / "dog/1.png").write_bytes(b"nothing")
    pictures = image_folder(str(folder), size=8, channels=1).open("train")
    with pytest.raises(InputError, match=r"dog/1\.png: not a picture"):
        pictures.read(np.arange(18))


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
