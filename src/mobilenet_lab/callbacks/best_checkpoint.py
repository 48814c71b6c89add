"""Keep the checkpoint with the best validation metric."""

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from mobilenet_lab.config.monitors import best_mode
from mobilenet_lab.runs.folder import RunFolder


class BestCheckpoint(Checkpoint):
    """Writes best.ckpt whenever a validation improves the monitored metric.

    It saves at the end of a training epoch if the epoch ends with its only validation, so that best.ckpt can
    be resumed from, and otherwise right after the validation.

    Args:
        folder: The run folder.
        monitor: Name of a metric that is logged.
        mode: "max" if higher is better, "min" if lower is better; None to derive it from the name.

    Attributes:
        score: The best value of the monitored metric; None as long as there is no best.ckpt.
        accuracy: Validation accuracy of best.ckpt, in [0, 1]; None if it has not been measured.
    """

    def __init__(self, folder: str, monitor: str, mode: str | None = None) -> None:
        self.path = RunFolder(Path(folder)).best
        self.monitor = monitor
        self.mode = best_mode(monitor, mode)
        self.score: float | None = None
        self.accuracy: float | None = None
        self._saved_at_step = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the search over if a resumed run has no best.ckpt, for example because it was deleted."""
        if not trainer.strategy.broadcast(self.path.is_file()):  # other nodes may not see the folder
            self.score = self.accuracy = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after a validation within an epoch."""
        if (
            trainer.state.fn == TrainerFn.FITTING
            and not trainer.sanity_checking
            and not _ends_epochs(trainer)
        ):
            self._save_if_better(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after the validation of an epoch."""
        if _ends_epochs(trainer):
            self._save_if_better(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"monitor": self.monitor, "mode": self.mode, "score": self.score, "accuracy": self.accuracy}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the search of the run so far, unless it monitored another metric.

        Raises:
            TypeError, ValueError: A value is not a number.
        """
        if (state_dict["monitor"], state_dict["mode"]) == (self.monitor, self.mode):
            self.score, self.accuracy = (
                None if value is None else float(value)
                for value in (state_dict["score"], state_dict["accuracy"])
            )
            if any(value is not None and math.isnan(value) for value in (self.score, self.accuracy)):
                raise ValueError("the best score is NaN")

    def _save_if_better(self, trainer: Trainer) -> None:
        """Save unless the step has been saved, or ended without a validation, as at a time limit."""
        metrics = trainer.callback_metrics
        if self.monitor not in metrics or trainer.global_step == self._saved_at_step:
            return
        score = float(metrics[self.monitor])
        if not trainer.strategy.reduce_boolean_decision(self._is_better(score)):
            return
        # NaN is worse than any number.
        worst = math.inf if self.mode == "min" else -math.inf
        self.score = worst if math.isnan(score) else score
        self.accuracy = float(metrics["val/accuracy"]) if "val/accuracy" in metrics else None
        self._saved_at_step = trainer.global_step
        trainer.save_checkpoint(self.path)

    def _is_better(self, score: float) -> bool:
        if self.score is None:
            return True
        return score < self.score if self.mode == "min" else score > self.score


def _ends_epochs(trainer: Trainer) -> bool:
    """Return whether each training epoch ends with its only validation.

    The float 1.0 means once per epoch, but the integer 1 after every batch.
    """
    interval = trainer.val_check_interval
    return isinstance(interval, float) and interval == 1 and trainer.check_val_every_n_epoch == 1
