"""A learning-rate range test: the loss while the rate rises from step to step."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class CurrentLRMixin(Callback):
    """Knows the rate of the step at hand, which after it the schedule has changed already.

    Attributes:
        rate: Learning rate of the first group of parameters.
    """

    rate = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the rate of the step to come."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]
