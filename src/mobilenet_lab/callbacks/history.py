"""What the run's result and curves need to know of each epoch."""

import time
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

TRAINING = ("train/loss", "train/accuracy")
VALIDATION = ("val/loss", "val/accuracy")


class History(Checkpoint):
    """Keeps each epoch's metrics, and how fast pictures went through training steps alone.

    It is a `Checkpoint` to Lightning, since those alone are called at an epoch's end once the epoch's
    metrics are complete; it has to come before those that write files, to be in them.

    Attributes:
        epochs: One dictionary an epoch, with `epoch`, counted from 1, and the metrics that there were.
        images_seen: Training pictures of this process since it started.
        train_seconds: Time they took, validation left out.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.images_seen = 0
        self.train_seconds = 0.0
        self._running_since: float | None = None
        self._validated = False

    def images_per_second(self, world_size: int) -> float:
        """Training pictures a second of all ranks together."""
        return self.images_seen * world_size / self.train_seconds if self.train_seconds else 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock."""
        if self._running_since is None:
            self._running_since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch's pictures."""
        self.images_seen += len(batch[1])

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the epoch has validation metrics of its own."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock and take over the epoch's metrics."""
        self._stop(trainer)
        names = TRAINING + (VALIDATION if self._validated else ())
        metrics = trainer.callback_metrics
        row = {name: float(metrics[name]) for name in names if name in metrics}
        self.epochs.append({"epoch": trainer.current_epoch + 1, **row})
        self._validated = False

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far, for a run that goes on from a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the epochs of the run that is gone on with."""
        self.epochs = list(state_dict["epochs"])

    def _stop(self, trainer: Trainer) -> None:
        if self._running_since is not None:
            if trainer.strategy.root_device.type != "cpu":  # a GPU is still at work on the last steps
                torch.accelerator.synchronize()
            self.train_seconds += time.perf_counter() - self._running_since
        self._running_since = None
