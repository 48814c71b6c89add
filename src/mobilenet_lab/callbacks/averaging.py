"""An exponential moving average of the weights, which is what is validated, tested and kept."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

# The state that Lightning's callback adds to a checkpoint: there the average is `state_dict`.
CURRENT_WEIGHTS = "current_model_state"


class AverageWeights(WeightAveraging):
    """Averages weights and BatchNorm's statistics over the steps (Polyak and Juditsky 1992).

    Lightning's callback with three changes. Before the first update it validates, tests and keeps the current
    weights, where Lightning takes those from before the training (its issue 21724). The average lies on the
    device that trains, and a step does not wait for that device. The decay rises from 0.1 to its value, as
    in TensorFlow's `ExponentialMovingAverage`, so that short runs do not drag their first steps along.

    Args:
        decay: Weight of the average so far, in [0, 1): 0.999 looks back over about a thousand updates.
        every_n_steps: Steps from one update to the next.
        start_step: First step, counted from 0, after which the average is updated.
    """

    def __init__(self, decay: float, every_n_steps: int, start_step: int) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=self._average)
        self.decay = decay
        self.every_n_steps = every_n_steps
        self.start_step = start_step

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make room for the average."""
        self._device = trainer.strategy.root_device  # the module's own is the CPU still
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:  # read in every step, which must not wait for the device
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether a step, counted from 0, is one of those that are averaged."""
        if step_idx is None or step_idx < self.start_step:
            return False
        return (step_idx - self.start_step) % self.every_n_steps == 0

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the average as the weights, and the current ones beside them, to go on from."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._average_model is not None and not self._has_begun():
            checkpoint["state_dict"] = checkpoint[CURRENT_WEIGHTS]

    def _swap_models(self, pl_module: LightningModule) -> None:
        if self._has_begun():
            super()._swap_models(pl_module)

    def _copy_average_to_current(self, pl_module: LightningModule) -> None:
        if self._has_begun():
            super()._copy_average_to_current(pl_module)

    def _has_begun(self) -> bool:
        assert self._average_model is not None
        return int(self._average_model.n_averaged) > 0

    def _average(self, averages: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
        assert self._average_model is not None
        updates = int(self._average_model.n_averaged)
        share = 1 - min(self.decay, (1 + updates) / (10 + updates))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, current, share)
        else:  # how many batches BatchNorm has seen
            torch._foreach_copy_(averages, current)
