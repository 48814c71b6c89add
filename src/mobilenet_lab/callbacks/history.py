"""Record the metrics of each epoch."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from mobilenet_lab.config.monitors import TRAINING, VALIDATION
from mobilenet_lab.runtime.lightning_internals import restore_callback_metrics


class EpochHistory(Checkpoint):
    """Metrics of each epoch and duration of the run, across resumes.

    It derives from Lightning's `Checkpoint` to be called after the metrics of an epoch are complete. It must
    come before the callbacks that write checkpoints, which contain it.

    Attributes:
        epochs: A dictionary per epoch, with `epoch` (from 1) and the metrics. When a resumed run completes an
            epoch that a limit cut short, it replaces the entry.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self._validation: dict[str, float] = {}  # epoch and metrics of the latest validation
        self._seconds = 0.0  # until the checkpoint that the run resumes from, or until the end
        self._running_since: float | None = None

    def epochs_done(self) -> int:
        """Return the number of epochs trained, including a last one that a limit cut short."""
        return int(self.epochs[-1]["epoch"]) if self.epochs else 0

    def total_seconds(self) -> float:
        """Return the duration of training and validation in seconds, with the time before a resume."""
        running = 0.0 if self._running_since is None else time.perf_counter() - self._running_since
        return self._seconds + running

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start the clock."""
        if stage == "fit":
            self._running_since = time.perf_counter()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop the clock."""
        if stage == "fit":
            self._seconds, self._running_since = self.total_seconds(), None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a mid-epoch resume, restore the metrics of the last validation within this epoch."""
        if self._validation.get("epoch") == trainer.current_epoch + 1:
            restore_callback_metrics(trainer, {name: self._validation[name] for name in VALIDATION})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the metrics; those of the last validation in an epoch become the epoch's."""
        if not trainer.sanity_checking:
            self._validation = {"epoch": trainer.current_epoch + 1, **_values(trainer, VALIDATION)}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the metrics of the epoch."""
        row = {"epoch": trainer.current_epoch + 1, **_values(trainer, TRAINING)}
        if self._validation.get("epoch") == row["epoch"]:
            row |= self._validation
        self.epochs = [*(earlier for earlier in self.epochs if earlier["epoch"] < row["epoch"]), row]

    def state_dict(self) -> dict[str, Any]:
        """Return the epochs and the duration so far."""
        return {"epochs": self.epochs, "validation": self._validation, "seconds": self.total_seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the history of the run so far.

        Raises:
            TypeError, ValueError: A value is not a number, or the duration is impossible.
        """
        if not 0 <= float(state_dict["seconds"]) < math.inf:
            raise ValueError("the duration is negative or not finite")
        self.epochs = [_numbers(row) | {"epoch": int(row["epoch"])} for row in state_dict["epochs"]]
        self._validation = _numbers(state_dict["validation"])
        self._seconds = float(state_dict["seconds"])


def _values(trainer: Trainer, names: Sequence[str]) -> dict[str, float]:
    metrics = trainer.callback_metrics
    return {name: float(metrics[name]) for name in names if name in metrics}


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): value if isinstance(value, int) else float(value) for name, value in row.items()}
