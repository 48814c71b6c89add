"""End a run after a number of optimizer steps."""

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from mobilenet_lab.runtime.lightning_internals import is_resumable_step


class MaxSteps(Callback):
    """Stops the run after a step, with a validation only if one is due.

    Lightning's own `max_steps` is never set: with it, a run that resumes at the end of an epoch would repeat
    this end.

    Args:
        max_steps: Optimizer steps of the whole run, including the steps before a resume.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps
        self._limit_val_batches: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train nothing if the checkpoint that the run resumes from has all steps."""
        if trainer.global_step >= self.max_steps:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after the last step."""
        if trainer.global_step < self.max_steps:
            return
        trainer.should_stop = True
        if is_resumable_step(trainer):  # no validation is due, but Lightning would add one
            self._limit_val_batches, trainer.limit_val_batches = trainer.limit_val_batches, 0

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the trainer's setting."""
        if self._limit_val_batches is not None:
            trainer.limit_val_batches, self._limit_val_batches = self._limit_val_batches, None


def steps_left(trainer: Trainer) -> float:
    """Return the number of optimizer steps up to `max_steps`, or infinity without such a limit."""
    limits = [callback.max_steps for callback in trainer.callbacks if isinstance(callback, MaxSteps)]  # type: ignore[attr-defined]
    return min(limits, default=math.inf) - trainer.global_step
