"""Weights of the classes in the training loss."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mobilenet_lab.runtime.errors import InputError


def class_weight_tensor(
    weights: Sequence[float] | str | None, class_counts: Sequence[int] | None, num_classes: int
) -> Tensor | None:
    """Return the weight per class, float32, shape (num_classes,), or None for equal weights.

    Args:
        weights: The weights, or "balanced" for those of `balanced_weights`; None for equal weights.
        class_counts: Number of training images per class, for "balanced".
        num_classes: Number of classes.

    Raises:
        InputError: The number of weights differs from the number of classes, or a class has no images.
    """
    if weights == "balanced":
        assert class_counts is not None
        weights = balanced_weights(class_counts)
    if weights is None:
        return None
    if len(weights) != num_classes:
        raise InputError(
            f"task.class_weights: has {len(weights)} numbers for {num_classes} classes; use one per class"
        )
    return torch.tensor(weights, dtype=torch.float32)


def balanced_weights(class_counts: Sequence[int]) -> list[float]:
    """Return weights that give each class the same share of the loss; their mean over all images is 1.

    Args:
        class_counts: Number of training images per class.

    Raises:
        InputError: A class has no images.
    """
    if min(class_counts) == 0:
        raise InputError(
            f"task.class_weights=balanced: class {class_counts.index(0)} has no training images; "
            "use a list of weights"
        )
    return [sum(class_counts) / (len(class_counts) * count) for count in class_counts]
