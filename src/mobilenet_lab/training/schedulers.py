"""Learning-rate schedules, as Lightning's scheduler dictionaries.

All but `plateau` change the learning rate after every step and are functions of the step alone. A schedule
over the whole run has a parameter `total_steps`. PyTorch is imported only when a schedule is built, so that
the configuration can be checked against these signatures before.
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from mobilenet_lab.tasks.one_cycle import check_finite, half_cosine, one_cycle_factor

if TYPE_CHECKING:
    from torch.optim import Optimizer

Schedule = dict[str, Any]


def constant(optimizer: "Optimizer") -> Schedule:
    """Keep the optimizer's learning rate."""
    return _per_step(optimizer, lambda step: 1.0)


def one_cycle(
    optimizer: "Optimizer",
    total_steps: float,
    warmup_fraction: float = 0.3,
    start_factor: float = 0.04,
    end_factor: float = 0.0,
) -> Schedule:
    """Raise the learning rate along half a cosine, then lower it (Smith and Topin 2017, arXiv:1708.07120).

    Unlike in the paper, momentum is constant.

    Args:
        optimizer: Its learning rate is the highest of the schedule.
        total_steps: Number of steps of the run.
        warmup_fraction: Fraction of the steps that raise the learning rate.
        start_factor: First learning rate, as a fraction of the highest.
        end_factor: Last learning rate, as a fraction of the highest.

    Raises:
        InputError: The number of steps is infinite.
    """
    factor = one_cycle_factor(total_steps, warmup_fraction, start_factor, end_factor)
    return _per_step(optimizer, factor)


def cosine(
    optimizer: "Optimizer", total_steps: float, warmup_steps: int = 100, end_factor: float = 0.0
) -> Schedule:
    """Warm up linearly, then decay along half a cosine (Loshchilov and Hutter 2016, arXiv:1608.03983).

    Args:
        optimizer: Its learning rate is the highest of the schedule.
        total_steps: Number of steps of the run.
        warmup_steps: Number of steps before the highest learning rate.
        end_factor: Last learning rate, as a fraction of the highest.

    Raises:
        InputError: The number of steps is infinite.
    """
    check_finite(total_steps)
    return _cosines(optimizer, [0, int(total_steps)], warmup_steps, end_factor)


def cosine_restarts(
    optimizer: "Optimizer",
    total_steps: float,
    warmup_steps: int = 100,
    end_factor: float = 0.0,
    cycles: Sequence[int] = (10, 14),
) -> Schedule:
    """Decay as `cosine` does, then restart at the highest learning rate for each further cycle.

    These are warm restarts (Loshchilov and Hutter 2016, arXiv:1608.03983). Unlike in the paper, cycles have
    any lengths and the first one has a warm-up. The first cycle equals `cosine` over its share of the run
    step by step, so a finished run with `cosine` can be resumed for more cycles.

    Args:
        optimizer: Its learning rate is the highest of the schedule.
        total_steps: Number of steps of the run.
        warmup_steps: Number of steps before the highest learning rate, even if the first cycle is shorter.
        end_factor: Learning rate that each cycle decays towards, as a fraction of the highest.
        cycles: Relative lengths of the cycles, such as their epochs.

    Raises:
        InputError: The number of steps is infinite.
    """
    check_finite(total_steps)
    return _cosines(optimizer, cycle_bounds(total_steps, cycles), warmup_steps, end_factor)


def cycle_bounds(total_steps: float, cycles: Sequence[int]) -> list[int]:
    """Return the first step of each cycle, and the number of steps.

    Args:
        total_steps: Number of steps of the run.
        cycles: Relative lengths of the cycles.
    """
    return [round(total_steps * done / sum(cycles)) for done in accumulate(cycles, initial=0)]


def plateau(
    optimizer: "Optimizer",
    factor: float = 0.1,
    patience: int = 3,
    min_lr: float = 0.0,
    monitor: str = "val/loss",
) -> Schedule:
    """Multiply the learning rate by `factor` when a loss has not fallen for `patience` epochs.

    Args:
        optimizer: Its learning rate is the first and highest.
        factor: Factor of each reduction.
        patience: Number of epochs without improvement before a reduction.
        min_lr: Lowest learning rate of the first group of parameters; other groups keep their ratio to it.
        monitor: Name of the logged loss.
    """
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]  # other schedulers do this in their constructor
    highest = optimizer.param_groups[0]["lr"]
    lowest = [min_lr * (group["lr"] / highest) for group in optimizer.param_groups]
    scheduler = ReduceLROnPlateau(optimizer, factor=factor, patience=patience, min_lr=lowest)
    return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}


def range_test(optimizer: "Optimizer", total_steps: float, start_factor: float = 1e-5) -> Schedule:
    """Raise the learning rate exponentially up to the optimizer's, to find a good one.

    Smith 2015 (arXiv:1506.01186), section 3.3, raises it linearly.

    Args:
        optimizer: Its learning rate is the last of the schedule.
        total_steps: Number of steps of the run.
        start_factor: First learning rate as a fraction of the last, above 0.

    Raises:
        InputError: The number of steps is infinite.
    """
    check_finite(total_steps)
    return _per_step(optimizer, lambda step: start_factor ** max(0.0, 1 - step / max(1, total_steps - 1)))


def _cosines(optimizer: "Optimizer", bounds: Sequence[int], warmup_steps: int, end_factor: float) -> Schedule:
    """Return cycles that start at all `bounds` but the last, which is the end of the run."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        end = min(bisect(bounds, step), len(bounds) - 1)
        start = max(warmup_steps, bounds[end - 1])
        return half_cosine((step - start) / max(1, bounds[end] - start), 1.0, end_factor)

    return _per_step(optimizer, factor)


def _per_step(optimizer: "Optimizer", factor: Callable[[int], float]) -> Schedule:
    from mobilenet_lab.tasks.resumable_lr import ResumableLambdaLR

    return {"scheduler": ResumableLambdaLR(optimizer, factor), "interval": "step"}
