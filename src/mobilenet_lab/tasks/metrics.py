"""Exact accuracy and loss of an epoch: sums over all images, not a mean of batch means."""

import torch
from torch import Tensor
from torchmetrics import Metric

from mobilenet_lab.tasks.confusion_matrix import update_confusion_matrix


class ClassificationMetrics(Metric):
    """A confusion matrix and a sum of losses, added up over batches and ranks without synchronising.

    Args:
        num_classes: Number of classes.
    """

    full_state_update = False
    confusion: Tensor
    loss_sum: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("confusion", confusion, dist_reduce_fx="sum")
        self.add_state("loss_sum", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            loss: Mean over the batch.
            logits: Shape (N, num_classes).
            labels: Shape (N,).
        """
        update_confusion_matrix(self.confusion, logits, labels)
        self.loss_sum += loss * len(labels)

    def compute(self) -> dict[str, Tensor]:
        """Mean `loss`, `accuracy` in [0, 1], and `confusion`: a row a label, a column a prediction."""
        total = self.confusion.sum()
        return {
            "loss": self.loss_sum / total,
            "accuracy": self.confusion.diagonal().sum() / total,
            "confusion": self.confusion,
        }
