"""Write the checkpoint to resume from."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from mobilenet_lab.checkpoints.state import CALLBACKS
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.resume_logs import sync_logs
from mobilenet_lab.runtime.lightning_internals import ends_epoch, is_accumulating, is_resumable_step
from mobilenet_lab.runtime.ranks import SYNC_EVERY_N_BATCHES

SECONDS_PER_MINUTE = 60


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt at the end of every epoch and, on request, every few steps or minutes.

    Unlike Lightning's `ModelCheckpoint`, it combines these triggers, and saves only at steps from which a run
    resumes exactly.

    A limit on steps or time may end the run within an epoch. Lightning then validates and counts the epoch as
    done. So the state is saved to a pending file before that. At the end of the epoch the file becomes
    last.ckpt, updated with the results of the validation.

    A run of one process also saves if reading the next batch fails, for example because a worker has died.

    Args:
        folder: The run folder.
        every_n_train_steps: Optimizer steps between checkpoints; None to save only at the end of an epoch.
        every_n_minutes: Minutes between checkpoints; None to save only at the end of an epoch.
    """

    def __init__(self, folder: str, every_n_train_steps: int | None, every_n_minutes: float | None) -> None:
        self._run = RunFolder(Path(folder))
        self.every_n_train_steps = every_n_train_steps
        self.every_n_minutes = every_n_minutes
        self._is_due = False
        self._stops = False  # as soon as the accumulated gradients have been used
        self._has_pending = False
        self._is_reading = False  # the next batch; model and optimizer are those of the last step
        self._saved_at_step = 0
        self._saved_at = time.monotonic()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the pending file of a run that was killed."""
        if stage == "fit" and trainer.is_global_zero:
            self._run.pending.unlink(missing_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting steps and minutes."""
        self._note_saved(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if a checkpoint is due and the step is resumable, or if the run stops within the epoch."""
        self._is_due = self._is_due or self._check_due(trainer, batch_idx)
        # No checkpoint holds accumulated gradients: a stop waits for the optimizer step.
        self._stops = self._stops or trainer.should_stop
        trainer.should_stop = self._stops and not is_accumulating(trainer)
        if self._is_due and is_resumable_step(trainer):
            self.save(trainer)
        if trainer.should_stop and not ends_epoch(trainer):
            trainer.save_checkpoint(self._run.pending)
            self._has_pending = True
        self._is_reading = True

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note that the batch has been read."""
        self._is_reading = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the last step if the batch after it could not be read."""
        has_failed = self._is_reading and isinstance(exception, Exception)
        is_new = trainer.training and trainer.global_step > self._saved_at_step
        # Saving takes all ranks, and the others wait for this one's gradients.
        if has_failed and is_new and trainer.world_size == 1 and is_resumable_step(trainer):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of the epoch, or the state at which the run stopped within it."""
        if self._has_pending:
            self._finish_pending(trainer)
        else:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save now."""
        self._sync_logs(trainer)
        trainer.save_checkpoint(self._run.last)
        self._note_saved(trainer)

    def _finish_pending(self, trainer: Trainer) -> None:
        self._sync_logs(trainer)
        if trainer.is_global_zero:
            checkpoint = torch.load(self._run.pending, map_location="cpu", weights_only=True)
            # They have seen the validation after the stop.
            checkpoint[CALLBACKS] |= {
                callback.state_key: state
                for callback in trainer.checkpoint_callbacks
                if (state := callback.state_dict())
            }
            trainer.strategy.save_checkpoint(checkpoint, self._run.last)
            self._run.pending.unlink()
        trainer.strategy.barrier()
        self._has_pending = False

    def _sync_logs(self, trainer: Trainer) -> None:
        """Bring the logs onto the disk: a resumed run does not log again what came before its checkpoint."""
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.save()
            sync_logs(self._run.path)

    def _check_due(self, trainer: Trainer, batch_idx: int) -> bool:
        steps, minutes = self.every_n_train_steps, self.every_n_minutes
        if steps is not None and trainer.global_step // steps > self._saved_at_step // steps:
            return True
        if minutes is None:
            return False
        is_due = time.monotonic() - self._saved_at >= minutes * SECONDS_PER_MINUTE
        if trainer.world_size == 1:
            return is_due
        # The clocks of the ranks differ, but saving takes all of them.
        return batch_idx % SYNC_EVERY_N_BATCHES == 0 and trainer.strategy.reduce_boolean_decision(
            is_due, all=False
        )

    def _note_saved(self, trainer: Trainer) -> None:
        self._is_due, self._saved_at_step, self._saved_at = False, trainer.global_step, time.monotonic()
