from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import composed
from hydra.utils import instantiate
from PIL import Image

from mobilenet_lab.data.datasets.image_folder import image_folder
from mobilenet_lab.data.datasets.relabeled import RelabeledDataset
from mobilenet_lab.inference.evaluation_data import new_labels, open_source
from mobilenet_lab.runtime.errors import InputError


def labels_for(theirs: list[str], ours: list[str]) -> list[int] | None:
    source: Any = SimpleNamespace(name="image_folder", classes=theirs)
    ensemble: Any = SimpleNamespace(paths=[Path("x.ckpt")], classes=ours)
    labels = new_labels(source, ensemble)
    return None if labels is None else labels.tolist()


def test_labels_follow_class_names() -> None:
    assert labels_for(["cat", "dog"], ["cat", "dog"]) is None
    assert labels_for(["0", "1", "10", "2"], ["0", "1", "2", "10"]) == [0, 1, 3, 2]
    assert labels_for(["eel", "cat"], ["cat", "dog", "eel"]) == [2, 0]  # some classes only
    assert labels_for(["shirt", "bag"], ["0", "1"]) is None  # no name is the same: by position


@pytest.mark.parametrize("theirs", [["cat", "fox"], ["cat", "dog", "fox"], ["a", "b", "c"]])
def test_other_classes_are_refused(theirs: list[str]) -> None:
    with pytest.raises(InputError, match=r"classes, but x\.ckpt has 2, and not (fox|a); choose"):
        labels_for(theirs, ["cat", "dog"])


def test_relabeled_images_keep_their_pixels(tmp_path: Path) -> None:
    for name, level in (("cat", 10), ("dog", 20)):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4), level).save(tmp_path / name / "x.png")
    plain = image_folder(str(tmp_path), size=4, channels=1).open("train")
    dataset = RelabeledDataset(plain, np.array([5, 3]))
    images, labels = dataset.read(np.array([1, 0]))
    assert torch.equal(images, plain.read(np.array([1, 0]))[0])
    assert labels.tolist() == dataset.read_labels(np.array([1, 0])).tolist() == [3, 5]
    assert len(dataset) == 2


def test_idx_labels_get_the_names_in_the_checkpoint(tiny_idx: Path) -> None:
    names = [f"kind {label}" for label in range(10)]
    data = {"name": "idx", "native_size": 28, "fit": "pad"}
    ensemble: Any = SimpleNamespace(paths=[Path("x.ckpt")], classes=names, channels=1, data=[data])
    cfg = composed("data=idx", f"data.root={tiny_idx}", script="evaluate").data
    assert open_source(cfg, ensemble).classes == names
    data["name"] = "another"
    assert open_source(cfg, ensemble).classes == list("0123456789")


def test_photographs_are_read_in_the_size_of_training(tmp_path: Path) -> None:
    """`data=photos` reads images larger than `data.image_size`, and a checkpoint has the larger size."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (90, 80)).save(tmp_path / name / "x.png")
    training = composed("data=photos", f"data.root={tmp_path}").data
    native_size = instantiate(training.source)(root=training.root).native_size
    assert native_size == 256
    data = {"name": "image_folder", "native_size": native_size, "fit": "crop"}
    ensemble: Any = SimpleNamespace(paths=[Path("x.ckpt")], classes=["cat", "dog"], channels=3, data=[data])
    cfg = composed("data=photos", f"data.root={tmp_path}", script="evaluate").data
    assert open_source(cfg, ensemble).native_size == native_size
