"""Defaults of a task that is used from Python, without a configuration: MNIST and a short SGD run."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

MNIST_PREPROCESSING = {"image_size": 28, "channels": 1, "mean": 0.1307, "std": 0.3081, "resize": "auto"}
MNIST_DATA = {"name": "mnist", "native_size": 28, "mnist_style": True, "fit": "pad"}


def default_optimizer(parameters: Iterable[Any]) -> Optimizer:
    """Build SGD with Nesterov momentum and a learning rate of 0.1."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)


def default_scheduler(optimizer: Optimizer, total_steps: float) -> dict[str, Any]:
    """Build PyTorch's one-cycle schedule up to the optimizer's learning rate, with constant momentum."""
    rates = [group["lr"] for group in optimizer.param_groups]
    scheduler = OneCycleLR(optimizer, max_lr=rates, total_steps=int(total_steps), cycle_momentum=False)
    return {"scheduler": scheduler, "interval": "step"}
