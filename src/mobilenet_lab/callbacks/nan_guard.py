"""End a run whose loss is no number any more, before it overwrites what was good."""

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from mobilenet_lab.callbacks.current_lr import CurrentLRMixin
from mobilenet_lab.runs.folder import LAST
from mobilenet_lab.runtime.errors import EXIT_WRONG_INPUT, InputError
from mobilenet_lab.runtime.invocation import resume_command


class StopOnNaN(CurrentLRMixin):
    """Looks at the epoch's sum of losses, which one loss that is not finite spoils for good.

    One process on a CPU looks after every batch. On a GPU, where looking waits for the device, and with
    several ranks, which have to agree, it looks after every `log_every_n_steps` batches. A checkpoint is
    never written of a run that has diverged.

    Args:
        dirpath: Folder of the run's checkpoints, for the message.
    """

    def __init__(self, dirpath: str) -> None:
        self._dirpath = Path(dirpath)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the losses so far."""
        is_cheap = pl_module.device.type == "cpu" and trainer.world_size == 1
        if is_cheap or (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._check(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to write one that would be of no use: a finite loss may have had an infinite gradient."""
        self._check(trainer, pl_module)
        weights = torch.stack([weight.detach().isfinite().all() for weight in pl_module.parameters()])
        self._refuse_unless(weights.all(), "a weight", trainer)

    def _check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total: Tensor = pl_module.train_metrics.loss_sum  # type: ignore[assignment, union-attr]
        self._refuse_unless(total.isfinite(), "the loss", trainer)

    def _refuse_unless(self, is_finite: Tensor, what: str, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(bool(is_finite), all=True):
            return
        last = self._dirpath / LAST
        go_on = resume_command(self._dirpath.parent)
        good = f"the last good checkpoint is {last} ({go_on} ...)" if last.is_file() else "no checkpoint yet"
        mend = "lower optimizer.lr, or set trainer.gradient_clip_val=1.0"
        message = (
            f"{what} is not finite by step {trainer.global_step:,} (epoch {trainer.current_epoch + 1}), "
            f"learning rate {self.rate:.3g}; {good}; {mend}"
        )
        if trainer.world_size == 1:
            raise InputError(message)
        # Whoever started the ranks may end all at the first that ends: the word comes before.
        if trainer.is_global_zero:
            print(f"error: {message}", file=sys.stderr, flush=True)
        trainer.strategy.barrier()
        raise SystemExit(EXIT_WRONG_INPUT)
