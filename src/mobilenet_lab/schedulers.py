"""Learning-rate schedules, each as Lightning's description of a scheduler.

All but `plateau` change the rate after every step and are functions of the step alone.
"""

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

Schedule = dict[str, Any]


def constant(optimizer: Optimizer, total_steps: int) -> Schedule:
    """The optimizer's learning rate throughout."""
    return _by_step(optimizer, lambda step: 1.0)


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    warmup_fraction: float,
    start_factor: float,
    end_factor: float,
) -> Schedule:
    """Half a cosine up, half a cosine down (Smith and Topin 2017, arXiv:1708.07120).

    Unlike the paper's, momentum stays as it is.

    Args:
        optimizer: Its learning rate is the highest.
        total_steps: Steps of the whole run.
        warmup_fraction: Share of the steps that go up.
        start_factor: First learning rate, as a fraction of the highest.
        end_factor: Last learning rate, likewise.
    """
    top = max(1.0, warmup_fraction * total_steps)

    def factor(step: int) -> float:
        if step < top:
            return _half_cosine(step / top, start_factor, 1.0)
        return _half_cosine((step - top) / max(1.0, total_steps - top), 1.0, end_factor)

    return _by_step(optimizer, factor)


def cosine(optimizer: Optimizer, total_steps: int, warmup_steps: int, end_factor: float) -> Schedule:
    """A linear warm-up, then half a cosine (Loshchilov and Hutter 2016, arXiv:1608.03983).

    Args:
        optimizer: Its learning rate is the highest.
        total_steps: Steps of the whole run.
        warmup_steps: Steps until the highest learning rate.
        end_factor: Last learning rate, as a fraction of the highest.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return _half_cosine(progress, 1.0, end_factor)

    return _by_step(optimizer, factor)


def plateau(optimizer: Optimizer, total_steps: int, factor: float, patience: int, min_lr: float) -> Schedule:
    """Multiply the learning rate by `factor` when `val/loss` has not fallen for `patience` epochs."""
    scheduler = ReduceLROnPlateau(optimizer, factor=factor, patience=patience, min_lr=min_lr)
    return {"scheduler": scheduler, "interval": "epoch", "monitor": "val/loss"}


def _by_step(optimizer: Optimizer, factor: Callable[[int], float]) -> Schedule:
    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def _half_cosine(progress: float, start: float, end: float) -> float:
    """From `start` at progress 0 to `end` at 1, and `end` after."""
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
