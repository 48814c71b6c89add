"""Check the training state in a checkpoint before a run resumes from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.checkpoints.state import (
    CALLBACKS,
    DATA_POSITION,
    EPOCH,
    GLOBAL_STEP,
    MAX_STEPS,
    NUM_THREADS,
    OPTIMIZER_STATES,
    SCHEDULES,
    Checkpoint,
    hyper_parameters,
    is_finite_number,
    is_whole,
    schedule_state,
    train_metrics,
)
from mobilenet_lab.data.epoch_order import SAMPLING
from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from torch.optim import Optimizer


def cannot_resume(path: Path) -> InputError:
    """Return the error for a training state that is incomplete or malformed."""
    return InputError(
        f"resume={path}: the training state in this checkpoint is incomplete, malformed or from another "
        "version; resume from another checkpoint"
    )


def check_state(checkpoint: Checkpoint, path: Path, optimizer: "Optimizer") -> None:
    """Check that a training run can resume from a checkpoint.

    Args:
        checkpoint: Its contents.
        path: Its file, for the error message.
        optimizer: The optimizer of the run, as it is built.

    Raises:
        InputError: A position, a metric, the schedule, or the state of the optimizer is missing or malformed.
    """
    try:
        is_valid = (
            _has_positions(checkpoint)
            and _has_learning_rates(checkpoint)
            and _has_schedule(checkpoint)
            and _has_settings_of(optimizer, checkpoint)
            and _has_moments_of(optimizer, checkpoint)
            and _has_metrics(checkpoint)
            and isinstance(checkpoint[CALLBACKS], Mapping)
            and is_whole(checkpoint[NUM_THREADS])
            and 1 <= checkpoint[NUM_THREADS] <= MAX_STEPS
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise cannot_resume(path)


def _has_positions(checkpoint: Checkpoint) -> bool:
    position, (schedule,) = checkpoint[DATA_POSITION], checkpoint[SCHEDULES]
    counts = [checkpoint[EPOCH], checkpoint[GLOBAL_STEP]]
    counts += [value for key, value in position.items() if key != SAMPLING]
    counts += [schedule["last_epoch"], schedule.get("_step_count", 0)]
    is_complete = position.keys() >= {"epoch", "batch"} and isinstance(position.get(SAMPLING, ""), str)
    return is_complete and all(is_whole(count) and 0 <= count <= MAX_STEPS for count in counts)


def _has_learning_rates(checkpoint: Checkpoint) -> bool:
    (optimizer,), schedule = checkpoint[OPTIMIZER_STATES], schedule_state(checkpoint)
    rates = [group.get("initial_lr", group["lr"]) for group in optimizer["param_groups"]]
    lists = [rates, *(schedule.get(key, rates) for key in ("base_lrs", "min_lrs"))]
    return all(len(values) == len(rates) > 0 and all(map(is_finite_number, values)) for values in lists)


def _has_schedule(checkpoint: Checkpoint) -> bool:
    """Return False for a state that would replace a method of the schedule, or its optimizer."""
    from torch.optim.lr_scheduler import LRScheduler

    return not any(
        key == "optimizer" or callable(getattr(LRScheduler, key, None)) for key in schedule_state(checkpoint)
    )


def _has_settings_of(optimizer: "Optimizer", checkpoint: Checkpoint) -> bool:
    """Return whether each setting of each group of parameters is of the kind that the optimizer has."""
    (saved,) = checkpoint[OPTIMIZER_STATES]
    groups, own = saved["param_groups"], optimizer.param_groups
    return len(groups) == len(own) and all(
        _is_alike(group[key], value)
        for group, built in zip(groups, own, strict=True)
        for key, value in built.items()
        if key in group and key != "params"
    )


def _is_alike(value: Any, example: Any) -> bool:
    """Return whether a value can replace another: flags and None, numbers, texts, or sequences of these."""
    if isinstance(example, bool):
        return value is None or isinstance(value, bool)
    if example is None:
        return value is None or isinstance(value, bool) or is_finite_number(value)
    if isinstance(example, int | float):
        return is_finite_number(value)
    if isinstance(example, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(example)
            and all(map(_is_alike, value, example))
        )
    return type(value) is type(example)


def _has_moments_of(optimizer: "Optimizer", checkpoint: Checkpoint) -> bool:
    """Return whether tensors in the state of each parameter have its shape or are scalars."""
    (saved,) = checkpoint[OPTIMIZER_STATES]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return all(
        value is None or is_finite_number(value) or not value.ndim or value.shape == parameters[index].shape
        for index, values in saved["state"].items()
        for value in values.values()
    )


def _has_metrics(checkpoint: Checkpoint) -> bool:
    metrics, num_classes = train_metrics(checkpoint), len(hyper_parameters(checkpoint)["classes"])
    confusion, loss_sum = metrics["confusion"], metrics["loss_sum"]
    has_shapes = confusion.shape == (num_classes, num_classes) and loss_sum.ndim == 0
    return has_shapes and not confusion.is_floating_point() and loss_sum.is_floating_point()
