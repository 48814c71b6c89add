"""The optimizer's groups of parameters, its schedule, and its gradients."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.optim import Optimizer

from mobilenet_lab.checkpoints.state import LR_FACTOR
from mobilenet_lab.models.stages import classifier_parameters


def parameter_groups(
    network: nn.Module, unfrozen_later: Sequence[nn.Parameter] = (), backbone_lr_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Return the optimizer's groups of a network's parameters, which stay the same over a run.

    The first groups are those of the classifier if the backbone has a learning rate of its own. Parameters
    that are unfrozen later have groups of their own: PyTorch's fused SGD needs groups in which all momenta
    begin at the same step. Parameters that never have gradients are left out.

    Args:
        network: The network.
        unfrozen_later: Frozen parameters that will be unfrozen.
        backbone_lr_factor: Learning rate of the backbone relative to that of the classifier. Unless it is 1,
            the groups of the backbone hold it under `LR_FACTOR`, for `scale_rates`.
    """
    later, classifier = set(unfrozen_later), set[nn.Parameter]()
    of_backbone: dict[str, Any] = {}
    if backbone_lr_factor != 1.0:
        classifier = set(classifier_parameters(network))
        of_backbone = {LR_FACTOR: backbone_lr_factor}
    parameters = [p for p in network.parameters() if p.requires_grad or p in later]
    backbone = [p for p in parameters if p not in classifier]
    sections: list[tuple[list[nn.Parameter], dict[str, Any]]] = [
        ([p for p in parameters if p in classifier], {}),
        ([p for p in backbone if p not in later], of_backbone),
        ([p for p in backbone if p in later], of_backbone),
    ]
    return [{**group, **extra} for some, extra in sections if some for group in _decay_groups(some)]


def _decay_groups(parameters: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    """Return two groups: one with weight decay, one without.

    Only weights of convolutions and linear layers decay. For BatchNorm and biases, decay would merely change
    the effective learning rate (Goyal et al. 2017, arXiv:1706.02677, section 5.3).
    """
    return [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def scale_rates(optimizer: Optimizer) -> Optimizer:
    """Multiply the learning rate of each group that has a factor by it; schedules keep the ratio."""
    for group in optimizer.param_groups:
        if LR_FACTOR in group:
            group["lr"] *= group[LR_FACTOR]
    return optimizer


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
