"""Name the checkpoint if a run cannot restore its state from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from mobilenet_lab.checkpoints.training_state import cannot_resume
from mobilenet_lab.runtime.errors import InputError

# What callbacks, loops, optimizers and schedules raise for a malformed state
STATE_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


class _RestoreObserver(Callback):
    """Notes when the trainer uses the restored state for the first time.

    It restores everything before the first of these hooks. Optimizer and schedule use their state at the end
    of the first step.

    Attributes:
        is_restoring: Whether an error may come from the checkpoint.
    """

    def __init__(self) -> None:
        self.is_restoring = True
        self._has_stepped = False

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_restoring = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_restoring = False

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        self.is_restoring = not self._has_stepped
        self._has_stepped = True

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.is_restoring = False


@contextmanager
def name_checkpoint_in_errors(trainer: Trainer, checkpoint: Path | None) -> Iterator[None]:
    """Turn errors of `trainer.fit` that the restored state causes into an error that names the checkpoint.

    Args:
        trainer: The trainer whose `fit` is called inside.
        checkpoint: The file that the run resumes from; None if it starts from scratch.

    Raises:
        InputError: The state in the checkpoint is malformed.
    """
    if checkpoint is None:
        yield
        return
    observer = _RestoreObserver()
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(observer)
    try:
        yield
    except STATE_ERRORS as error:
        if not observer.is_restoring or isinstance(error, (InputError, torch.OutOfMemoryError)):
            raise
        raise cannot_resume(checkpoint) from error
    finally:
        callbacks.remove(observer)
