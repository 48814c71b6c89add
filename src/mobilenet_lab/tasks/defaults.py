"""Defaults of a task that is used from Python, without a configuration: MNIST and a short SGD run."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from mobilenet_lab.tasks.one_cycle import one_cycle_factor
from mobilenet_lab.tasks.resumable_lr import ResumableLambdaLR

MNIST_PREPROCESSING = {"image_size": 28, "channels": 1, "mean": 0.1307, "std": 0.3081, "resize": "auto"}
MNIST_DATA = {"name": "mnist", "native_size": 28, "mnist_style": True, "fit": "pad"}


def default_optimizer(parameters: Iterable[Any]) -> Optimizer:
    """Build SGD with Nesterov momentum and a learning rate of 0.1."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)


def default_scheduler(optimizer: Optimizer, total_steps: float) -> dict[str, Any]:
    """Build one cycle up to the optimizer's learning rate, with constant momentum.

    Unlike with PyTorch's `OneCycleLR`, a run can resume from a checkpoint for more epochs.

    Raises:
        InputError: The number of steps is infinite.
    """
    scheduler = ResumableLambdaLR(optimizer, one_cycle_factor(total_steps))
    return {"scheduler": scheduler, "interval": "step"}
