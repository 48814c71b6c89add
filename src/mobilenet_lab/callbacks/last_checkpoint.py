"""The two checkpoints of a run: the last, to go on from, and the best, to use."""

import copy
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from mobilenet_lab.runs.resume_logs import sync_logs
from mobilenet_lab.runtime.lightning_internals import is_resumable_step
from mobilenet_lab.runtime.ranks import ASK_EVERY_N_BATCHES

SECONDS_IN_A_MINUTE = 60


class LastCheckpoint(ModelCheckpoint):
    """Keeps last.ckpt: at the end of every epoch, and every so many steps or minutes.

    Lightning's own saves at one of them alone, and also where going on would leave out a validation.

    Args:
        dirpath: The folder.
        every_n_train_steps: None for the ends of epochs only.
        every_n_minutes: Likewise.
    """

    def __init__(self, dirpath: str, every_n_train_steps: int | None, every_n_minutes: float | None) -> None:
        super().__init__(
            dirpath,
            save_top_k=0,
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.every_n_steps = every_n_train_steps
        self.every_n_minutes = every_n_minutes
        self._due = False
        self._stops = False  # once the gradients are added up
        self._ended_within: dict[str, Any] | None = None  # the state at the batch that was the last
        self._saved_at_step = 0
        self._saved_at = time.monotonic()

    @property
    def state_key(self) -> str:
        """The same whatever the arguments, so that a run may go on with other ones."""
        return type(self).__name__

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count steps and minutes from here."""
        super().on_train_start(trainer, pl_module)
        self._note_saved(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where steps or minutes are up, at the first batch from which the run can go on exactly.

        Where a limit of steps or time ends the run within an epoch, which it may not between batches whose
        gradients are added up, the state is noted: at the end of the epoch, to which Lightning goes on, the
        rest of it would count as done.
        """
        self._due = self._due or self._is_due(trainer, batch_idx)
        self._stops = self._stops or trainer.should_stop
        trainer.should_stop = self._stops and not trainer.fit_loop._should_accumulate()
        if self._due and is_resumable_step(trainer):
            self.save(trainer)
        loop = trainer.fit_loop.epoch_loop
        if (trainer.should_stop or loop._is_training_done) and not loop.batch_progress.is_last_batch:
            self._ended_within = copy.deepcopy(trainer._checkpoint_connector.dump_checkpoint())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, whatever was saved in the epoch."""
        if self._ended_within is not None or not self._should_skip_saving_checkpoint(trainer):
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave what the last epoch's end has saved; Lightning's own may save once more, and too late."""

    def save(self, trainer: Trainer) -> None:
        """Save now, and bring to the disk first what was logged: it will not be logged again."""
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.save()
            assert self.dirpath is not None
            sync_logs(Path(self.dirpath).parent)
        self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self._note_saved(trainer)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        if self._ended_within is None:
            super()._save_checkpoint(trainer, filepath)
            return
        checkpoint, self._ended_within = self._ended_within, None
        # A validation may have come after the batch.
        checkpoint["callbacks"] |= {c.state_key: c.state_dict() for c in trainer.checkpoint_callbacks}
        trainer.strategy.save_checkpoint(checkpoint, filepath)
        trainer.strategy.barrier()

    def _is_due(self, trainer: Trainer, batch_idx: int) -> bool:
        steps, minutes = self.every_n_steps, self.every_n_minutes
        if steps is not None and trainer.global_step // steps > self._saved_at_step // steps:
            return True
        if minutes is None:
            return False
        is_due = time.monotonic() - self._saved_at >= minutes * SECONDS_IN_A_MINUTE
        if trainer.world_size == 1:
            return is_due
        # The ranks' clocks differ, and all of them have to take part in saving.
        return batch_idx % ASK_EVERY_N_BATCHES == 0 and trainer.strategy.reduce_boolean_decision(
            is_due, all=False
        )

    def _note_saved(self, trainer: Trainer) -> None:
        self._due, self._saved_at_step, self._saved_at = False, trainer.global_step, time.monotonic()
