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
        wait_seconds: Part of it in which the process waited for batches, or read them itself; 0 for loaders
            that do not measure it, as `data.loader.BatchLoader` does.
    """

    def __init__(self) -> None:
        self.images_seen = 0
        self.train_seconds = 0.0
        self.wait_seconds = 0.0
        self._running_since: float | None = None
        self._waited_before = 0.0

    def images_per_second(self, world_size: int) -> float:
        """Return the training images per second of all ranks together."""
        return self.images_seen * world_size / self.train_seconds if self.train_seconds else 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock if it does not run."""
        if self._running_since is None:
            self._running_since = time.perf_counter()
            self._waited_before = _waited(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images of the batch."""
        self.images_seen += len(batch[1])

    def totals(self, trainer: Trainer) -> tuple[int, float, float]:
        """Return images, seconds and seconds of waiting up to now, without waiting for the device."""
        images, seconds, waited = self.images_seen, self.train_seconds, self.wait_seconds
        if self._running_since is not None:
            seconds += time.perf_counter() - self._running_since
            waited += _waited(trainer) - self._waited_before
        return images, seconds, waited

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
            _, self.train_seconds, self.wait_seconds = self.totals(trainer)
        self._running_since = None


def _waited(trainer: Trainer) -> float:
    seconds: float = getattr(trainer.train_dataloader, "wait_seconds", 0.0)
    return seconds
