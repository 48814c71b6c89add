"""What the run's result and curves need to know of each epoch."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

COLUMNS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


class History(Callback):
    """Keeps each epoch's metrics, and how fast pictures went through training steps alone.

    Attributes:
        epochs: One dictionary an epoch, with `epoch` and the metrics that there were.
        images_seen: Training pictures of this process since it started.
        train_seconds: Time they took, validation left out.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.images_seen = 0
        self.train_seconds = 0.0
        self._running_since: float | None = None

    def images_per_second(self, world_size: int) -> float:
        """Training pictures a second of all ranks together."""
        return self.images_seen * world_size / max(self.train_seconds, 1e-9)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the epoch before, whose metrics are complete only now, and start the clock."""
        self._take(trainer, trainer.current_epoch)
        self._running_since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch's pictures."""
        self.images_seen += len(batch[1])

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on, where validation came in the middle of an epoch."""
        if trainer.state.fn == "fit":
            self._running_since = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the last epoch."""
        self._take(trainer, trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far, for a run that goes on from a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the epochs of the run that is gone on with."""
        self.epochs = list(state_dict["epochs"])

    def _take(self, trainer: Trainer, epoch: int) -> None:
        row = {
            key: float(trainer.callback_metrics[key]) for key in COLUMNS if key in trainer.callback_metrics
        }
        is_new = not self.epochs or self.epochs[-1]["epoch"] < epoch
        if row and is_new:
            self.epochs.append({"epoch": epoch, **row})

    def _stop(self) -> None:
        if self._running_since is not None:
            self.train_seconds += time.perf_counter() - self._running_since
        self._running_since = None
