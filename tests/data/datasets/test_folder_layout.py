from pathlib import Path

import pytest

from mobilenet_lab.data.datasets.folder_contents import read_folder
from mobilenet_lab.data.datasets.folder_layout import find_splits
from mobilenet_lab.data.datasets.image_folder import image_folder
from mobilenet_lab.runtime.errors import InputError


def touch(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def found(root: Path, *folders: str) -> dict[str, str]:
    touch(root, *(f"{folder}/{name}/1.png" for folder in folders for name in ("cat", "dog")))
    return {split: path.name for split, path in find_splits(root, read_folder).items()}


@pytest.mark.parametrize("train", ["train", "training", "Train"])
@pytest.mark.parametrize("val", ["val", "validation", "valid", "eval", "Validation"])
def test_names_of_common_exports_are_splits(tmp_path: Path, train: str, val: str) -> None:
    assert found(tmp_path, train, val, "testing") == {"train": train, "val": val, "test": "testing"}
    assert image_folder(str(tmp_path), size=8, channels=1).classes == ["cat", "dog"]


@pytest.mark.parametrize("folders", [["train"], ["training"]])
def test_train_alone_is_a_split(tmp_path: Path, folders: list[str]) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "labels").mkdir()
    touch(tmp_path, "labels/boxes.csv")
    assert found(tmp_path, *folders) == {"train": folders[0]}


def test_train_next_to_other_classes_is_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "plane/1.png", "car/1.png")
    assert find_splits(tmp_path, read_folder) == {}
    assert image_folder(str(tmp_path), size=8, channels=1).classes == ["car", "plane", "train"]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train", "val", "valid"], "val and valid both look like the val split; merge them or rename one"),
        (["train", "Training"], "Training and train both look like the train split"),
        (["test", "val"], "test, val look like splits, not classes, but there is no folder train"),
        (["train", "birds"], "train looks like a split, but birds like classes"),
    ],
)
def test_unclear_layout_is_refused(tmp_path: Path, folders: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        found(tmp_path, *folders)


def test_other_folders_next_to_splits_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found(tmp_path, "train", "test", "unlabeled")
    assert image_folder(str(tmp_path), size=8, channels=1).classes == ["cat", "dog"]
    assert caplog.messages == [f"{tmp_path}: only the splits test, train are read, not unlabeled"]


def test_empty_split_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "val/cat").mkdir(parents=True)
    found(tmp_path, "train")
    source = image_folder(str(tmp_path), size=8, channels=1)
    assert (source.classes, source.has_split("val")) == (["cat", "dog"], False)
    assert caplog.messages == [f"{tmp_path}: no images in val, so it is not used as a split"]


def test_split_whose_images_cannot_be_read_is_not_ignored(tmp_path: Path) -> None:
    found(tmp_path, "train")
    touch(tmp_path, "val/cat/1.jxl", "eval/run/scores.json")
    with pytest.raises(InputError, match=r"val/cat holds only 1 \.jxl"):
        image_folder(str(tmp_path), size=8, channels=1).open("val")
    with pytest.raises(InputError, match="val: has no images in folders of classes; add them"):
        image_folder(str(tmp_path), size=8, channels=1, on_empty_class="skip").open("val")
    touch(tmp_path, "test/1.png", "test/2.png")
    with pytest.raises(InputError, match="test: has no images in folders of classes"):
        image_folder(str(tmp_path), size=8, channels=1).open("test")
