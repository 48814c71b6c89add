"""An exponential moving average of the weights, which is what is validated, tested and kept."""

import itertools
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

# The state that Lightning's callback adds to a checkpoint: there the average is `state_dict`.
CURRENT_WEIGHTS = "current_model_state"


class _Average(AveragedModel):
    """PyTorch's, with all weights in one call, and without a look at the device in each step."""

    def __init__(self, model: nn.Module, device: torch.device, decay: float) -> None:
        super().__init__(model, device, use_buffers=True)
        self.n_averaged = self.n_averaged.cpu()
        self._decay = decay

    def update_parameters(self, model: nn.Module) -> None:
        """Move towards the current weights; the first time, become them."""
        averages, current = (
            [tensor.detach() for tensor in itertools.chain(of.parameters(), of.buffers())]
            for of in (self.module, model)
        )
        updates = int(self.n_averaged)
        share = 1 - min(self._decay, (1 + updates) / (10 + updates)) if updates else 1.0
        floats = [i for i, tensor in enumerate(averages) if tensor.is_floating_point()]
        torch._foreach_lerp_([averages[i] for i in floats], [current[i] for i in floats], share)
        for i in set(range(len(averages))) - set(floats):  # how many batches BatchNorm has seen
            averages[i].copy_(current[i])
        self.n_averaged += 1


class EMAWeights(WeightAveraging):
    """Averages weights and BatchNorm's statistics over the steps (Polyak and Juditsky 1992).

    Lightning's callback with three changes. Before the first update it validates, tests and keeps the current
    weights, where Lightning takes those from before the training (its issue 21724). The average lies on the
    device that trains, and a step does not wait for that device. The decay rises to its value as
    (1 + n) / (10 + n) after n updates, as in TensorFlow's `ExponentialMovingAverage`, so that short runs do
    not drag their first steps along.

    Args:
        decay: Weight of the average so far, in [0, 1): 0.999 looks back over about a thousand updates.
        every_n_steps: Steps from one update to the next.
        start_step: First step, counted from 0, after which the average is updated.
    """

    def __init__(self, decay: float, every_n_steps: int, start_step: int) -> None:
        super().__init__()
        self.decay = decay
        self.every_n_steps = every_n_steps
        self.start_step = start_step

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make room for the average."""
        if stage == "fit":
            self._average_model = _Average(pl_module, trainer.strategy.root_device, self.decay)

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
