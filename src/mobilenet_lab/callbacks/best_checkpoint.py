"""The two checkpoints of a run: the last, to go on from, and the best, to use."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from mobilenet_lab.runs.folder import BEST


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt: the weights that did best in a validation.

    A run that goes on from another's checkpoint takes over the best so far, which Lightning's own forgets
    when the folder is another. `accuracy` is that of the validation, whatever was monitored.

    Args:
        dirpath: The folder.
        monitor: Name of the metric.
        mode: "max" where more is better, "min" where less is.
    """

    accuracy: float | None = None

    def __init__(self, dirpath: str, monitor: str, mode: str) -> None:
        super().__init__(
            dirpath,
            filename=Path(BEST).stem,
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def _should_save_on_train_epoch_end(self, trainer: Trainer) -> bool:
        """After every validation; Lightning takes 1, after every batch, for 1.0, at the epoch's end."""
        return type(trainer.val_check_interval) is float and super()._should_save_on_train_epoch_end(trainer)

    def _save_topk_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        """Leave out an epoch that ended before its validation; Lightning's own has a warning instead."""
        if self.monitor in monitor_candidates:
            super()._save_topk_checkpoint(trainer, monitor_candidates)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self.accuracy = float(trainer.callback_metrics["val/accuracy"])
        super()._save_checkpoint(trainer, filepath)

    def state_dict(self) -> dict[str, Any]:
        """Lightning's own, and the accuracy."""
        return super().state_dict() | {"accuracy": self.accuracy}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best of the run that is gone on with, which lies in this run's folder by now.

        The path in the checkpoint is not looked at: the folder may have been moved, or copied.
        """
        assert self.dirpath is not None
        score, best = state_dict["best_model_score"], Path(self.dirpath) / BEST
        if score is None or not best.is_file():
            return
        self.best_model_path = self.kth_best_model_path = str(best)
        self.best_model_score = self.kth_value = score
        self.best_k_models = {str(best): score}
        self.accuracy = state_dict.get("accuracy", float(score) if self.monitor == "val/accuracy" else None)
