"""Average the weights over the training steps."""

import itertools
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mobilenet_lab.checkpoints.state import CURRENT_WEIGHTS, WEIGHTS


class _Average(AveragedModel):
    """PyTorch's averaged model, with one change: an update never waits for the device.

    PyTorch's `update_parameters` compares the number of updates on the device, or copies it there.
    """

    def __init__(self, model: nn.Module, device: torch.device, decay: float) -> None:
        super().__init__(model, device, use_buffers=True)
        self.n_averaged = self.n_averaged.cpu()
        self._decay = decay

    def update_parameters(self, model: nn.Module) -> None:
        """Move the average toward the weights of a model; the first time, copy them."""
        averages, current = (
            [tensor.detach() for tensor in itertools.chain(module.parameters(), module.buffers())]
            for module in (self.module, model)
        )
        updates = int(self.n_averaged)
        decay = min(self._decay, (1 + updates) / (10 + updates)) if updates else 0.0
        floats = [i for i, tensor in enumerate(averages) if tensor.is_floating_point()]
        update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update([averages[i] for i in floats], [current[i] for i in floats], updates)
        for i in set(range(len(averages))) - set(floats):  # BatchNorm's number of batches
            averages[i].copy_(current[i])
        self.n_averaged += 1


class EMAWeights(WeightAveraging):
    """Exponential moving average of weights and BatchNorm statistics (Polyak and Juditsky 1992).

    Validation, test and prediction use the average. Lightning's callback is changed in three ways:

    - Before the first update, the current weights are validated, tested and saved. Lightning uses the weights
      from before the training (its issue 21724).
    - The average lives on the training device, and a step does not wait for the device.
    - The decay rises to its value as (1 + n) / (10 + n) after n updates, as in TensorFlow's
      `ExponentialMovingAverage`. Otherwise the first steps would dominate short runs.

    Args:
        decay: Weight of the previous average, in [0, 1): 0.999 averages over about a thousand updates.
        every_n_steps: Optimizer steps between updates.
        start_step: Index of the step, from 0, after which the first update takes place.
    """

    def __init__(self, decay: float, every_n_steps: int, start_step: int) -> None:
        super().__init__()
        self.decay = decay
        self.every_n_steps = every_n_steps
        self.start_step = start_step

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the averaged model on the training device."""
        if stage == "fit":
            self._average_model = _Average(pl_module, trainer.strategy.root_device, self.decay)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether to update the average after the step with an index from 0."""
        if step_idx is None or step_idx < self.start_step:
            return False
        return (step_idx - self.start_step) % self.every_n_steps == 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        if self._has_begun():
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the current weights back."""
        if self._has_begun():
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the average to the module."""
        if self._has_begun():
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as the weights, and the current weights under a key of their own."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._average_model is not None and not self._has_begun():
            checkpoint[WEIGHTS] = checkpoint[CURRENT_WEIGHTS]

    def _has_begun(self) -> bool:
        return self._average_model is not None and int(self._average_model.n_averaged) > 0
