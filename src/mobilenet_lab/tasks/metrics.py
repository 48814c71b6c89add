"""Exact loss and accuracy of an epoch: means over all images, not means of batch means."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from mobilenet_lab.tasks.confusion_matrix import update_confusion_matrix


class ClassificationMetrics(Metric):
    """Confusion matrix and sum of losses, accumulated over batches without waiting for the device.

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
            loss: Mean over the batch, a scalar.
            logits: Shape (N, num_classes).
            labels: Shape (N,), int64.
        """
        if self.confusion.is_inference() and not torch.is_inference_mode_enabled():
            # The sums of an earlier validation, which training cannot change in place.
            for name in self._defaults:
                setattr(self, name, getattr(self, name).clone())
        update_confusion_matrix(self.confusion, logits, labels)
        self.loss_sum += loss * len(labels)

    def to_checkpoint(self) -> dict[str, Tensor]:
        """Return the sums over all ranks; all ranks must call it."""
        with self.sync_context():
            return {"confusion": self.confusion.clone(), "loss_sum": self.loss_sum.clone()}

    def restore(self, sums: Mapping[str, Tensor]) -> None:
        """Continue from the sums of a checkpoint."""
        self.confusion = sums["confusion"].to(self.device)
        self.loss_sum = sums["loss_sum"].to(self.device)

    def compute(self) -> dict[str, Tensor]:
        """Return the mean `loss`, `accuracy` in [0, 1], and `confusion`, with a row per label."""
        total = self.confusion.sum()
        return {
            "loss": self.loss_sum / total,
            "accuracy": self.confusion.diagonal().sum() / total,
            "confusion": self.confusion,
        }
