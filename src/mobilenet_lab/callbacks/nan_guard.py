"""Stop the run when the loss becomes NaN or infinite, before a good checkpoint is overwritten."""

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from mobilenet_lab.callbacks.current_lr import CurrentLRMixin
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.errors import EXIT_WRONG_INPUT, InputError
from mobilenet_lab.runtime.invocation import resume_command


class StopOnNaN(CurrentLRMixin):
    """Checks the sum of the epoch's losses, which stays NaN or infinite once a single loss is.

    A single process on a CPU checks after every batch. A GPU would have to be waited for, and several ranks
    have to agree, so these check every `log_every_n_steps` batches. A run that has diverged never writes a
    checkpoint.

    Args:
        folder: The run folder, for the error message.
    """

    def __init__(self, folder: str) -> None:
        self._run = RunFolder(Path(folder))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss."""
        is_cheap = pl_module.device.type == "cpu" and trainer.world_size == 1
        if is_cheap or (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._check_loss(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check loss and weights: the gradients of a finite loss may be infinite."""
        self._check_loss(trainer, pl_module)
        weights = torch.stack([weight.detach().isfinite().all() for weight in pl_module.parameters()])
        self._stop_unless(weights.all(), "a weight", trainer)

    def _check_loss(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total: Tensor = pl_module.train_metrics.loss_sum  # type: ignore[assignment, union-attr]
        self._stop_unless(total.isfinite(), "the loss", trainer)

    def _stop_unless(self, is_finite: Tensor, what: str, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(bool(is_finite), all=True):
            return
        if self._run.last.is_file():
            checkpoint = (
                f"the last good checkpoint is {self._run.last} ({resume_command(self._run.path)} ...)"
            )
        else:
            checkpoint = "there is no checkpoint yet"
        message = (
            f"{what} is NaN or infinite at step {trainer.global_step:,} (epoch {trainer.current_epoch + 1}), "
            f"learning rate {self.rate:.3g}; {checkpoint}; "
            "lower optimizer.lr or set trainer.gradient_clip_val=1.0"
        )
        if trainer.world_size == 1:
            raise InputError(message)
        # The launcher may kill all ranks as soon as one ends, so rank 0 prints before that.
        if trainer.is_global_zero:
            print(f"error: {message}", file=sys.stderr, flush=True)
        trainer.strategy.barrier()
        raise SystemExit(EXIT_WRONG_INPUT)
