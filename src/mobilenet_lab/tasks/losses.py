"""Losses of the tasks."""

import torch.nn.functional as F
from torch import Tensor


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
