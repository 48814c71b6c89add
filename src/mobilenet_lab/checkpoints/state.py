"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

MAX_STEPS = 1 << 53  # up to which double precision tells whole numbers apart


def epochs_done(checkpoint: dict[str, Any]) -> int:
    """Whole epochs that the run of a checkpoint has behind it."""
    position = checkpoint["ImageDataModule"]
    return int(position["epoch"] + (position["batch"] == 0))


def check_state(checkpoint: dict[str, Any], path: Path, parameters: Sequence["Tensor"]) -> None:
    """Refuse what is no state of a run to go on from.

    Args:
        checkpoint: What it holds.
        path: Its file, for the message.
        parameters: All that the optimizer changes, in its order.

    Raises:
        InputError: positions, schedules, the optimizer's settings or its tensors are not of the kind that
            is written.
    """
    try:
        position, (optimizer,) = checkpoint["ImageDataModule"], checkpoint["optimizer_states"]
        (schedule,) = checkpoint["lr_schedulers"]
        counts = [checkpoint["epoch"], checkpoint["global_step"], position["epoch"], position["batch"]]
        counts += [schedule["last_epoch"], schedule.get("_step_count", 0)]
        moments = [
            value.shape == parameters[index].shape
            for index, values in optimizer["state"].items()
            for value in values.values()
            if getattr(value, "ndim", 0)
        ]
        rates = [group.get("initial_lr", group["lr"]) for group in optimizer["param_groups"]]
        of_schedule = [schedule.get(key, rates) for key in ("base_lrs", "min_lrs")]
        is_position = all(is_whole(n) and 0 <= n <= MAX_STEPS for n in counts)
        has_rates = all(
            len(ones) == len(rates) > 0 and all(map(is_number, ones)) for ones in [rates, *of_schedule]
        )
        is_valid = is_position and has_rates and all(moments)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise InputError(f"{path}: no state of a run to go on from")


def is_whole(value: Any) -> bool:
    return type(value) is int


def is_number(value: Any) -> bool:
    return (is_whole(value) and abs(value) <= MAX_STEPS) or (type(value) is float and math.isfinite(value))


def schedule_in(checkpoint: dict[str, Any]) -> dict[str, Any]:
    schedules: list[dict[str, Any]] = checkpoint["lr_schedulers"]
    return schedules[0] if schedules else {}
