"""End all ranks at the same step when one of them is told to."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import distributed

EVERY_N_BATCHES = 10


class AgreeOnSigterm(Callback):
    """Asks all ranks every ten batches whether one has received SIGTERM, and ends them together.

    Lightning itself asks before every batch, and waits for the device each time. One process alone ends after
    the step at hand, as ever.
    """

    def __init__(self) -> None:
        self._received = False
        self._batches = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the place of Lightning's own question while training."""
        if trainer.world_size == 1:
            return
        loop, connector = trainer.fit_loop.epoch_loop, trainer._signal_connector
        if stage == "fit":
            loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]
            connector._sigterm_notifier_fn = self._note  # type: ignore[method-assign, assignment]
        else:
            vars(connector).pop("_sigterm_notifier_fn", None)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ask now and then."""
        self._batches += 1
        if self._batches % EVERY_N_BATCHES == 0:
            self._ask(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask a last time."""
        self._ask(trainer)

    def _ask(self, trainer: Trainer) -> None:
        if trainer.world_size == 1:
            return
        received = torch.tensor(int(self._received), device=trainer.strategy.root_device)
        distributed.all_reduce(received, distributed.ReduceOp.MAX)
        if received.item():
            trainer._signal_connector.received_sigterm = True
            raise SIGTERMException

    def _note(self, signal_number: int, frame: Any) -> None:
        self._received = True


def _nothing() -> None:
    pass
