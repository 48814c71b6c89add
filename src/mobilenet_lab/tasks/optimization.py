"""The optimizer's groups of parameters, its schedule, and its gradients."""

import inspect
from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.optim import Optimizer


def decay_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return two groups of a network's trainable parameters: one with weight decay, one without.

    Only weights of convolutions and linear layers decay. For BatchNorm and biases, decay would merely change
    the effective learning rate (Goyal et al. 2017, arXiv:1706.02677, section 5.3).
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def with_schedule(optimizer: Any, scheduler: Callable[..., Any], trainer: Trainer) -> Any:
    """Return what `LightningModule.configure_optimizers` returns.

    Args:
        optimizer: The optimizer.
        scheduler: Builds a schedule, Lightning's dictionary of one, or None for a constant learning rate. It
            gets the steps of the run if it has a parameter `total_steps`.
        trainer: The trainer, for the steps. They are infinite if only the time is limited.
    """
    takes_steps = "total_steps" in inspect.signature(scheduler).parameters
    arguments = {"total_steps": trainer.estimated_stepping_batches} if takes_steps else {}
    schedule = scheduler(optimizer, **arguments)
    return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}


def clip_gradients(
    module: LightningModule, optimizer: Optimizer, value: float | None, algorithm: str | None
) -> None:
    """Clip the gradients of a module.

    Lightning refuses to clip with mixed precision and a fused optimizer, which may scale gradients. With
    bfloat16, gradients are not scaled.

    Args:
        module: The module.
        optimizer: Its optimizer.
        value: `trainer.gradient_clip_val`.
        algorithm: `trainer.gradient_clip_algorithm`.
    """
    plugin = module.trainer.precision_plugin
    if isinstance(plugin, MixedPrecision) and plugin.scaler is None and value:
        clip = plugin.clip_grad_by_value if algorithm == "value" else plugin.clip_grad_by_norm
        clip(optimizer, value)
    else:
        module.clip_gradients(optimizer, value, algorithm)
