"""What the run's result and curves need to know of each epoch."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

TRAINING = ("train/loss", "train/accuracy")
VALIDATION = ("val/loss", "val/accuracy")


class EpochHistory(Checkpoint):
    """Keeps each epoch's metrics, and how fast images went through training steps alone.

    It is a `Checkpoint` to Lightning, since those alone are called at an epoch's end once the epoch's
    metrics are complete; it has to come before those that write files, to be in them.

    Attributes:
        epochs: One dictionary an epoch, with `epoch`, counted from 1, and the metrics that there were. One
            that is gone on with is written anew at its end.
        images_seen: Training images of this process since it started.
        train_seconds: Time they took, validation left out.
        seconds_before: Time of the run until the checkpoint that it goes on from; None if that is of an
            earlier version, which did not say.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.images_seen = 0
        self.train_seconds = 0.0
        self.seconds_before: float | None = 0.0
        self._began = 0.0
        self._running_since: float | None = None
        self._validation: dict[str, float] = {}  # the last one's epoch and metrics

    def images_per_second(self, world_size: int) -> float:
        """Training images a second of all ranks together."""
        return self.images_seen * world_size / self.train_seconds if self.train_seconds else 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin to count this process's time."""
        if stage == "fit":
            self._began = time.perf_counter()

    def total_seconds(self) -> float | None:
        """Time of training and validation, also of the processes that the run went on from."""
        if self.seconds_before is None:
            return None
        return self.seconds_before + time.perf_counter() - self._began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put a run that goes on within an epoch where it was, that epoch's last validation included."""
        self.epochs = [row for row in self.epochs if row["epoch"] <= trainer.current_epoch]
        if self._validation.get("epoch") == trainer.current_epoch + 1:
            metrics = {name: torch.tensor(self._validation[name]) for name in VALIDATION}
            trainer.callback_metrics.update(metrics)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock."""
        if self._running_since is None:
            self._running_since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch's images."""
        self.images_seen += len(batch[1])

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the metrics, which are the epoch's if no other validation comes."""
        if not trainer.sanity_checking:
            self._validation = {"epoch": trainer.current_epoch + 1, **_values(trainer, VALIDATION)}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock and take over the epoch's metrics."""
        self._stop(trainer)
        row = {"epoch": trainer.current_epoch + 1, **_values(trainer, TRAINING)}
        if self._validation.get("epoch") == row["epoch"]:
            row |= self._validation
        self.epochs.append(row)

    def state_dict(self) -> dict[str, Any]:
        """The epochs and the time so far, for a run that goes on from a checkpoint."""
        return {"epochs": self.epochs, "validation": self._validation, "seconds": self.total_seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the epochs and the time of the run that is gone on with."""
        seconds = state_dict.get("seconds")
        self.seconds_before = None if seconds is None else float(seconds)
        self.epochs = list(state_dict["epochs"])
        self._validation = dict(state_dict.get("validation", {}))

    def _stop(self, trainer: Trainer) -> None:
        if self._running_since is not None:
            if trainer.strategy.root_device.type != "cpu":  # a GPU is still at work on the last steps
                torch.accelerator.synchronize()
            self.train_seconds += time.perf_counter() - self._running_since
        self._running_since = None


def _values(trainer: Trainer, names: Sequence[str]) -> dict[str, float]:
    metrics = trainer.callback_metrics
    return {name: float(metrics[name]) for name in names if name in metrics}
