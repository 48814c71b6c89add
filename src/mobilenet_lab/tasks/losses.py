"""Cross-entropy with label smoothing and class weights, for labels and for mixed targets."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mobilenet_lab.runtime.errors import InputError


def balanced_weights(class_counts: Sequence[int]) -> list[float]:
    """Return class weights that give every class the same share of the loss.

    Args:
        class_counts: Training images of each class.

    Returns:
        Weights inversely proportional to the counts, 1 on average over the images.

    Raises:
        InputError: A class has no images.
    """
    if min(class_counts) == 0:
        raise InputError(
            f"model.class_weights=balanced: class {class_counts.index(0)} has no training images; "
            "give a list of weights instead"
        )
    return [sum(class_counts) / (len(class_counts) * count) for count in class_counts]


def cross_entropy(
    logits: Tensor, targets: Tensor, class_weights: Tensor | None, label_smoothing: float
) -> Tensor:
    """Return the mean loss of a batch.

    Args:
        logits: Shape (N, C).
        targets: Labels, shape (N,), or probabilities of mixed images, shape (N, C).
        class_weights: Shape (C,); None for equal weights.
        label_smoothing: Share of the target that is spread over all classes.
    """
    loss = F.cross_entropy(logits, targets, class_weights, label_smoothing=label_smoothing)
    if targets.ndim == 2 and class_weights is not None:
        # PyTorch divides by the sum of the weights for labels, but by N for probabilities.
        loss = loss * len(targets) / (targets @ class_weights).sum()
    return loss
