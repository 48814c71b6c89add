"""A mixin for callbacks that report the learning rate of a step."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class CurrentLRMixin(Callback):
    """A callback that remembers the learning rate of the current step.

    In `on_train_batch_end` the schedule has already set the rate of the next step.

    Attributes:
        rate: Learning rate of the first group of parameters.
    """

    rate = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the learning rate."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]
