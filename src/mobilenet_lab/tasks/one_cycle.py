"""The one-cycle schedule as a function of the step, without PyTorch."""

import math
from collections.abc import Callable

from mobilenet_lab.runtime.errors import InputError


def one_cycle_factor(
    total_steps: float, warmup_fraction: float = 0.3, start_factor: float = 0.04, end_factor: float = 0.0
) -> Callable[[int], float]:
    """Return the learning rate of each step as a fraction of the highest.

    Args:
        total_steps: Number of steps of the run.
        warmup_fraction: Fraction of the steps that raise the learning rate.
        start_factor: The first factor.
        end_factor: The last factor.

    Raises:
        InputError: The number of steps is infinite.
    """
    check_finite(total_steps)
    top = max(1.0, warmup_fraction * total_steps)

    def factor(step: int) -> float:
        if step < top:
            return half_cosine(step / top, start_factor, 1.0)
        return half_cosine((step - top) / max(1.0, total_steps - top), 1.0, end_factor)

    return factor


def check_finite(total_steps: float) -> None:
    """Refuse a run that only a time limit ends."""
    if math.isinf(total_steps):
        raise InputError(
            "total_steps=inf: this schedule needs a number; limit the trainer's epochs or steps, or use a "
            "constant learning rate"
        )


def half_cosine(progress: float, start: float, end: float) -> float:
    """Return the value between `start` at progress 0 and `end` at progress 1 and later."""
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
