"""Learning-rate schedules, each as Lightning's description of a scheduler.

All but `plateau` change the rate after every step and are functions of the step alone.
"""

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from mobilenet_lab.runtime.errors import InputError

Schedule = dict[str, Any]


class ResumableLambdaLR(LambdaLR):
    """LambdaLR, which a resumed run may also go on with under another function.

    PyTorch's would take the first step at the rate of the function before, 0 after the default cosine.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the step that was saved."""
        super().load_state_dict(state_dict)
        for group, rate, factor in zip(
            self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True
        ):
            group["lr"] = rate * factor(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def constant(optimizer: Optimizer, total_steps: float) -> Schedule:
    """The optimizer's learning rate throughout."""
    return _by_step(optimizer, lambda step: 1.0)


def one_cycle(
    optimizer: Optimizer,
    total_steps: float,
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

    Raises:
        InputError: the run's steps are not known.
    """
    _require_total_steps("onecycle", total_steps)
    top = max(1.0, warmup_fraction * total_steps)

    def factor(step: int) -> float:
        if step < top:
            return _half_cosine(step / top, start_factor, 1.0)
        return _half_cosine((step - top) / max(1.0, total_steps - top), 1.0, end_factor)

    return _by_step(optimizer, factor)


def cosine(optimizer: Optimizer, total_steps: float, warmup_steps: int, end_factor: float) -> Schedule:
    """A linear warm-up, then half a cosine (Loshchilov and Hutter 2016, arXiv:1608.03983).

    Args:
        optimizer: Its learning rate is the highest.
        total_steps: Steps of the whole run.
        warmup_steps: Steps until the highest learning rate.
        end_factor: Last learning rate, as a fraction of the highest.

    Raises:
        InputError: the run's steps are not known.
    """
    _require_total_steps("cosine", total_steps)
    return _cosines(optimizer, [0, int(total_steps)], warmup_steps, end_factor)


def cosine_restarts(
    optimizer: Optimizer, total_steps: float, warmup_steps: int, end_factor: float, cycles: Sequence[int]
) -> Schedule:
    """`cosine`, and again from the highest learning rate in each further cycle.

    Warm restarts (Loshchilov and Hutter 2016, arXiv:1608.03983); unlike the paper's, the cycles have any
    lengths, and the first a warm-up. That one is `cosine` over its share of the run, step by step, so a run
    that has ended under it can be resumed for more cycles.

    Args:
        optimizer: Its learning rate is the highest.
        total_steps: Steps of the whole run.
        warmup_steps: Steps until the highest learning rate, also where they outlast the first cycle.
        end_factor: Learning rate towards which every cycle falls, as a fraction of the highest.
        cycles: Lengths of the cycles in proportion, such as their epochs.

    Raises:
        InputError: the run's steps are not known.
    """
    _require_total_steps("cosine_restarts", total_steps)
    bounds = [round(total_steps * done / sum(cycles)) for done in accumulate(cycles, initial=0)]
    return _cosines(optimizer, bounds, warmup_steps, end_factor)


def _cosines(optimizer: Optimizer, bounds: Sequence[int], warmup_steps: int, end_factor: float) -> Schedule:
    """Cycles that begin at all `bounds` but the last, which is the end of the run."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        end = min(bisect(bounds, step), len(bounds) - 1)
        begin = max(warmup_steps, bounds[end - 1])
        return _half_cosine((step - begin) / max(1, bounds[end] - begin), 1.0, end_factor)

    return _by_step(optimizer, factor)


def plateau(
    optimizer: Optimizer, total_steps: float, factor: float, patience: int, min_lr: float
) -> Schedule:
    """Multiply the learning rate by `factor` when `val/loss` has not fallen for `patience` epochs."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]  # the other schedules note it, too
    scheduler = ReduceLROnPlateau(optimizer, factor=factor, patience=patience, min_lr=min_lr)
    return {"scheduler": scheduler, "interval": "epoch", "monitor": "val/loss"}


def range_test(optimizer: Optimizer, total_steps: float, start_factor: float) -> Schedule:
    """Multiply the learning rate by the same factor after every step, up to the optimizer's.

    Smith 2015, arXiv:1506.01186, section 3.3, there in equal steps.

    Args:
        optimizer: Its learning rate is the last.
        total_steps: Steps of the whole run.
        start_factor: First learning rate, as a fraction of the last.

    Raises:
        InputError: the run's steps are not known, or the first rate would be 0.
    """
    _require_total_steps("range_test", total_steps)
    if start_factor <= 0:
        raise InputError(f"scheduler.start_factor={start_factor}: must be above 0 for scheduler=range_test")
    return _by_step(optimizer, lambda step: start_factor ** max(0.0, 1 - step / max(1, total_steps - 1)))


def _require_total_steps(name: str, total_steps: float) -> None:
    if math.isinf(total_steps):
        raise InputError(
            f"scheduler={name}: needs to know the run's steps: set trainer.max_epochs or trainer.max_steps "
            "beside trainer.max_time, or choose scheduler=none"
        )


def _by_step(optimizer: Optimizer, factor: Callable[[int], float]) -> Schedule:
    return {"scheduler": ResumableLambdaLR(optimizer, factor), "interval": "step"}


def _half_cosine(progress: float, start: float, end: float) -> float:
    """From `start` at progress 0 to `end` at 1, and `end` after."""
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
