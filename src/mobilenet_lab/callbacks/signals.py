"""End all ranks at the same step when one of them is told to."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

EVERY_N_BATCHES = 10


class AgreeOnSigterm(Callback):
    """Asks all ranks now and then whether one has received SIGTERM, and lets Lightning end them together.

    Lightning itself asks before every batch, and waits for the device each time. One process alone ends after
    the step at hand, as ever.
    """

    def __init__(self) -> None:
        self._received = False
        self._batches = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the place of Lightning's own question."""
        if stage == "fit" and trainer.world_size > 1:
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]
            trainer._signal_connector._sigterm_notifier_fn = self._note  # type: ignore[method-assign, assignment]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask."""
        self._batches += 1
        if trainer.world_size == 1 or self._batches % EVERY_N_BATCHES:
            return
        received = torch.tensor(int(self._received), device=trainer.strategy.root_device)
        distributed.all_reduce(received, distributed.ReduceOp.MAX)
        if received.item():
            trainer._signal_connector.received_sigterm = True

    def _note(self, signal_number: int, frame: Any) -> None:
        self._received = True


def _nothing() -> None:
    pass
