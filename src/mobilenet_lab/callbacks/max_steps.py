"""End a run after a number of optimizer steps."""

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class MaxSteps(Callback):
    """Stops the run as `trainer.should_stop` does: with a last validation and at a resumable step.

    Lightning's own `max_steps` is never set: with it, a run that resumes at the end of an epoch would repeat
    this end.

    Args:
        max_steps: Optimizer steps of the whole run, the steps before a resume included.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train nothing if the checkpoint that the run resumes from has all steps."""
        self._check(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after the last step."""
        self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self.max_steps


def steps_left(trainer: Trainer) -> float:
    """Return the number of optimizer steps up to `max_steps`, or infinity without such a limit."""
    limits = [callback.max_steps for callback in trainer.callbacks if isinstance(callback, MaxSteps)]  # type: ignore[attr-defined]
    return min(limits, default=math.inf) - trainer.global_step
