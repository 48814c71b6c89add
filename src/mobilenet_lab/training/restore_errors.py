"""Name the checkpoint if a run cannot restore its state from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mobilenet_lab.checkpoints.state import cannot_resume
from mobilenet_lab.runtime.errors import InputError

# What callbacks, loops, optimizers and schedules raise for a malformed state
STATE_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


class _RestoreObserver(Callback):
    """Notes that the trainer has restored everything, which it does before the hooks below."""

    has_restored = False

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.has_restored = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.has_restored = True


@contextmanager
def name_checkpoint_in_errors(trainer: Trainer, checkpoint: Path | None) -> Iterator[None]:
    """Turn errors of `trainer.fit` before its first batch into an error that names the checkpoint.

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
        if observer.has_restored or isinstance(error, (InputError, torch.OutOfMemoryError)):
            raise
        raise cannot_resume(checkpoint) from error
    finally:
        callbacks.remove(observer)
