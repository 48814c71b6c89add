"""Measure the speed of the training steps."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Training images per second, without the time for validation.

    Attributes:
        images_seen: Training images of this process.
        train_seconds: Time that their steps took.
    """

    def __init__(self) -> None:
        self.images_seen = 0
        self.train_seconds = 0.0
        self._running_since: float | None = None

    def images_per_second(self, world_size: int) -> float:
        """Return the training images per second of all ranks together."""
        return self.images_seen * world_size / self.train_seconds if self.train_seconds else 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock if it does not run."""
        if self._running_since is None:
            self._running_since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images of the batch."""
        self.images_seen += len(batch[1])

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        if self._running_since is not None:
            if trainer.strategy.root_device.type != "cpu":  # a GPU may still work on the last steps
                torch.accelerator.synchronize()
            self.train_seconds += time.perf_counter() - self._running_since
        self._running_since = None
