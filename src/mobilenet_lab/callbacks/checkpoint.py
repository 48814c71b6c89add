"""The two checkpoints of a run: the last, to go on from, and the best, to use."""

import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning_utilities.core.rank_zero import rank_zero_only


class LastCheckpoint(ModelCheckpoint):
    """Keeps last.ckpt: at the end of every epoch, and every so many steps.

    Lightning's own saves at one or the other.

    Args:
        dirpath: The folder.
        every_n_train_steps: None for the ends of epochs only.
    """

    def __init__(self, dirpath: str, every_n_train_steps: int | None) -> None:
        super().__init__(
            dirpath,
            save_top_k=0,
            save_last=True,
            every_n_train_steps=every_n_train_steps,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """The same whatever the arguments, so that a run may go on with other ones."""
        return type(self).__name__

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, whatever was saved in the epoch."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt: the weights that did best in a validation.

    A run that goes on from another's checkpoint takes over the best so far, which Lightning's own forgets
    when the folder is another.

    Args:
        dirpath: The folder.
        monitor: Name of the metric.
        mode: "max" where more is better, "min" where less is.
    """

    def __init__(self, dirpath: str, monitor: str, mode: str) -> None:
        super().__init__(
            dirpath,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best of the run that is gone on with, as a copy in this run's folder."""
        score, old = state_dict["best_model_score"], Path(state_dict["best_model_path"])
        if score is None or not old.is_file():
            return
        assert self.dirpath is not None
        new = Path(self.dirpath) / "best.ckpt"
        if old.resolve() != new.resolve():
            _copy(old, new)
        self.best_model_path = self.kth_best_model_path = str(new)
        self.best_model_score = self.kth_value = score
        self.best_k_models = {str(new): score}


@rank_zero_only
def _copy(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    scratch = new.with_name(f".{new.name}.tmp")
    shutil.copyfile(old, scratch)
    scratch.replace(new)
