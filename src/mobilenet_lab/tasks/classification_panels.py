"""What a dashboard shows of a classification."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mobilenet_lab.runs.canvas import label_of
from mobilenet_lab.runs.dashboard_images import (
    CAPTION_COLUMNS,
    draw_confusion,
    draw_grid,
    draw_reliability,
)
from mobilenet_lab.runs.panels import Panels
from mobilenet_lab.runs.quality import Mistake, Quality
from mobilenet_lab.tasks.quality_metrics import MAX_SCORED_CLASSES
from mobilenet_lab.tasks.worst_mistakes import as_arrays, denormalize

NUM_SAMPLES = 32  # training images
# What every logger takes in a name: MLflow's rule, without "/", which would make a group
UNUSUAL = re.compile(r"[^\w.\- ]")


def quality_scalars(stage: str, quality: Quality) -> dict[str, float]:
    """Return the calibration error, and the accuracy of each of the first classes."""
    accuracies = quality.class_accuracies[:MAX_SCORED_CLASSES].tolist()
    by_class = {
        f"{stage}_class_accuracy/{tag}": accuracy
        for tag, accuracy in zip(_class_tags(quality.classes), accuracies, strict=True)
        if not math.isnan(accuracy)
    }
    return {f"{stage}/calibration_error": quality.calibration.error} | by_class


def quality_panels(stage: str, quality: Quality) -> Panels:
    """Return images and precision-recall curves of a validation or a test."""
    classes = quality.classes
    images = {
        f"{stage}/confusion_matrix": draw_confusion(quality.confusion, classes),
        f"{stage}/reliability": draw_reliability(quality.calibration),
    }
    if quality.mistakes:
        captions = [_caption(mistake, classes) for mistake in quality.mistakes]
        images[f"{stage}/worst_mistakes"] = draw_grid([m.image for m in quality.mistakes], captions)
    curves = {}
    if quality.scores is not None:
        for label, tag in enumerate(_class_tags(classes)):
            curves[f"{stage}_precision_recall/{tag}"] = quality.scores.curve(label)
    return Panels(images, curves)


def batch_panels(
    images: Tensor, targets: Tensor, classes: Sequence[str], preprocessing: Mapping[str, Any]
) -> Panels:
    """Return the first images of a training batch, as the network sees them, with their classes.

    Args:
        images: Shape (N, C, H, W), normalized.
        targets: Labels, shape (N,), or probabilities of mixed images, shape (N, num_classes).
        classes: Class names, by label.
        preprocessing: Arguments of `data.transforms.preprocessing.Preprocessing`.
    """
    arrays = as_arrays(denormalize(images[:NUM_SAMPLES], preprocessing))
    captions = [_target_caption(target, classes) for target in targets[:NUM_SAMPLES].cpu()]
    return Panels({"train/augmented_images": draw_grid(arrays, captions, columns=8)})


def _caption(mistake: Mistake, classes: Sequence[str]) -> list[str]:
    true, predicted = (_name(classes, label) for label in (mistake.label, mistake.prediction))
    return [f"is {true}", f"{mistake.confidence:.0%} {predicted}"]


def _target_caption(target: Tensor, classes: Sequence[str]) -> list[str]:
    if target.ndim == 0:
        return [_name(classes, int(target))]
    shares, labels = target.topk(min(2, len(classes)))
    return [
        f"{share:.0%} {_name(classes, label)}"
        for share, label in zip(shares.tolist(), labels.tolist(), strict=True)
        if share > 0
    ]


def _name(classes: Sequence[str], label: int) -> str:
    return label_of(classes[label], label, CAPTION_COLUMNS)


def _class_tags(classes: Sequence[str]) -> list[str]:
    """Return names of the first classes that every logger takes, with the label where they would be equal."""
    tags = [UNUSUAL.sub("_", name) for name in classes[:MAX_SCORED_CLASSES]]
    return [f"{label} {tag}" if tags.count(tag) > 1 else tag for label, tag in enumerate(tags)]
