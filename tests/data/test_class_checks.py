from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import digit_images, idx_bytes

from mobilenet_lab.data.cache import InMemoryDataset
from mobilenet_lab.data.class_checks import checked_classes, warn_of_missing_classes
from mobilenet_lab.data.datasets.mnist import idx_folder
from mobilenet_lab.data.splits import IndexRange, Subset, split_dataset
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return a data set with twelve training images of three classes, and test images of two."""
    for prefix, labels in (("train", np.arange(12) % 3), ("t10k", np.arange(4) % 2)):
        files = {"images-idx3": digit_images(len(labels), seed=0)[0], "labels-idx1": labels.astype(np.uint8)}
        for name, values in files.items():
            (tmp_path / f"{prefix}-{name}-ubyte").write_bytes(idx_bytes(values))
    return tmp_path


def test_class_without_images_in_a_subset_is_a_warning(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = idx_folder(str(tiny), classes=["a", "b", "c", "d\n"])
    subsets = split_dataset(source, val_split=2)
    warn_of_missing_classes(subsets, source.classes)
    training, validation, test = caplog.messages
    assert training == "data: 1 of 4 classes without training images, so the network cannot learn them: d\\n"
    assert validation.startswith(
        "data: 2 of 4 classes without validation images, so val/accuracy leaves them out: "
    )
    assert test == "data: 2 of 4 classes without test images, so test/accuracy leaves them out: c, d\\n"
    caplog.clear()
    warn_of_missing_classes(split_dataset(source, val_split=0), source.classes)
    assert not any("validation" in message for message in caplog.messages)  # there are none at all


@pytest.mark.parametrize(
    ("classes", "message"), [(["a"], "has 1 class; a"), (["a", "a"], "is the name of two")]
)
def test_impossible_classes_are_refused(tiny: Path, classes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"data=idx: .*{message}"):
        checked_classes(idx_folder(str(tiny), classes=classes))


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, -1, 1]])
def test_label_that_is_no_class_is_refused(labels: list[int]) -> None:
    dataset = InMemoryDataset(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor(labels))
    with pytest.raises(InputError, match=r"there is a label (2|-1), but 2 classes have the labels 0 to 1"):
        Subset(dataset, IndexRange(0, 3)).count_classes(2)
