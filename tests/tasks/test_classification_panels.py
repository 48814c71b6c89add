import numpy as np
import pytest
import torch

from mobilenet_lab.runs.quality import Calibration, Quality
from mobilenet_lab.tasks.classification_panels import batch_panels, quality_panels, quality_scalars

PREPROCESSING = {"mean": 0.5, "std": 0.5}


def quality(classes: list[str], confusion: np.ndarray) -> Quality:
    zeros = np.zeros(15)
    return Quality(classes, confusion, Calibration(zeros, zeros, zeros), [])


def test_scalars_have_names_that_every_logger_takes() -> None:
    classes = ["a/b", "a$b", "猫", "none"]
    confusion = np.array([[3, 1, 0, 0], [0, 4, 0, 0], [0, 4, 4, 0], [0, 0, 0, 0]])
    assert quality_scalars("val", quality(classes, confusion)) == {
        "val/calibration_error": 0,
        "val_class_accuracy/0 a_b": 0.75,
        "val_class_accuracy/1 a_b": 1.0,
        "val_class_accuracy/猫": 0.5,
    }


def test_only_the_first_classes_are_shown_one_by_one() -> None:
    many = quality([str(i) for i in range(100)], np.eye(100, dtype=np.int64))
    assert len(quality_scalars("val", many)) == 21
    assert set(quality_panels("val", many).images) == {"val/confusion_matrix", "val/reliability"}


@pytest.mark.parametrize("targets", [torch.arange(40) % 3, torch.tensor([[0.7, 0.3, 0.0]]).expand(40, 3)])
def test_sample_shows_training_images_as_the_network_sees_them(targets: torch.Tensor) -> None:
    images = torch.full((40, 1, 28, 28), 0.5)
    (sample,) = batch_panels(images, targets, ["a", "b", "c"], PREPROCESSING).images.values()
    gray = (sample == 191).all(axis=2).sum()  # 255 * (0.5 * 0.5 + 0.5)
    assert 32 * 84**2 <= gray < 32 * 84**2 * 1.01
