"""Measure the norm of the gradients of a step."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.optim import Optimizer


def gradient_norm(trainer: Trainer, module: LightningModule, optimizer: Optimizer) -> Tensor:
    """Return the norm of all gradients as one vector, without waiting for the device.

    Call it in `on_before_optimizer_step`. There, gradients are accumulated, averaged over the ranks, and not
    yet clipped. With `precision=16-mixed`, Lightning has divided them by the scale of the loss, except for
    fused optimizers, which do that themselves.

    Args:
        trainer: The trainer.
        module: The module with the gradients.
        optimizer: Its optimizer.

    Returns:
        A scalar on the device; infinite for a step that `precision=16-mixed` skips.
    """
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    plugin = trainer.precision_plugin
    is_scaled = getattr(optimizer, "_step_supports_amp_scaling", False)  # as Lightning asks
    if isinstance(plugin, MixedPrecision) and plugin.scaler is not None and is_scaled:
        norm = norm / plugin.scaler.get_scale()
    return norm
