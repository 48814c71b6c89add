"""The contents of a checkpoint.

A checkpoint is a dictionary of plain values and tensors. These are its keys:

| key | contents | written by |
|---|---|---|
| `state_dict` | weights to predict with; with `callbacks=ema`, their moving average | Lightning |
| `hyper_parameters` | network, classes, preprocessing and data, as plain values | Lightning |
| `hparams_name` | name of the constructor argument that holds them | Lightning |
| `pytorch-lightning_version` | version of Lightning | Lightning |
| `epoch` | index of the current epoch, from 0 | Lightning |
| `global_step` | optimizer steps done | Lightning |
| `loops` | progress counters of Lightning's loops | Lightning |
| `callbacks` | state of each callback, by class name | Lightning |
| `optimizer_states` | list with the state of the optimizer | Lightning |
| `lr_schedulers` | list with the state of the schedule | Lightning |
| `MixedPrecision` | state of the gradient scaler; only for `trainer.precision=16-mixed` | Lightning |
| `ImageDataModule` | position in the order of the images, and what determines the order | data module |
| `train_metrics` | sums of the current training epoch over all ranks: `confusion`, `loss_sum` | task |
| `num_threads` | CPU threads per process | task |
| `optimizer` | class name of the optimizer | task |
| `current_model_state` | weights that the optimizer updates; only with `callbacks=ema` | EMAWeights |
| `averaging_state` | number of updates of the average; only with `callbacks=ema` | EMAWeights |

Prediction needs the four keys in `REQUIRED_KEYS`. Use the functions below to read the others.
"""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "state_dict"
HYPER_PARAMETERS = "hyper_parameters"
EPOCH = "epoch"
GLOBAL_STEP = "global_step"
CALLBACKS = "callbacks"
OPTIMIZER_STATES = "optimizer_states"
SCHEDULES = "lr_schedulers"
DATA_POSITION = "ImageDataModule"
TRAIN_METRICS = "train_metrics"
NUM_THREADS = "num_threads"
OPTIMIZER_NAME = "optimizer"
CURRENT_WEIGHTS = "current_model_state"
LR_FACTOR = "lr_factor"  # of a group of parameters: its learning rate relative to that of the first group

REQUIRED_KEYS = (WEIGHTS, HYPER_PARAMETERS, EPOCH, GLOBAL_STEP)
MAX_STEPS = 1 << 53  # the integers up to here are exact in double precision

Checkpoint = dict[str, Any]


def weights(checkpoint: Checkpoint) -> dict[str, "Tensor"]:
    """Return the weights to predict with, by name in the LightningModule."""
    return checkpoint[WEIGHTS]


def hyper_parameters(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the description of network, classes, preprocessing and data."""
    return checkpoint[HYPER_PARAMETERS]


def global_step(checkpoint: Checkpoint) -> int:
    """Return the number of optimizer steps done."""
    return checkpoint[GLOBAL_STEP]


def epochs_done(checkpoint: Checkpoint) -> int:
    """Return the number of complete epochs."""
    position = checkpoint[DATA_POSITION]
    return int(position["epoch"] + (position["batch"] == 0))


def optimizer_name(checkpoint: Checkpoint) -> str | None:
    """Return the class name of the optimizer; None if the checkpoint does not say."""
    return checkpoint.get(OPTIMIZER_NAME)


def optimizer_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the settings of the optimizer's first group of parameters."""
    return checkpoint[OPTIMIZER_STATES][0]["param_groups"][0]


def parameter_counts(checkpoint: Checkpoint) -> list[int]:
    """Return the number of parameters (tensors) in each of the optimizer's groups."""
    return [len(group["params"]) for group in checkpoint[OPTIMIZER_STATES][0]["param_groups"]]


def backbone_lr_factor(checkpoint: Checkpoint) -> float:
    """Return the learning rate of the backbone relative to that of the classifier."""
    groups = checkpoint[OPTIMIZER_STATES][0]["param_groups"]
    return next((group[LR_FACTOR] for group in groups if LR_FACTOR in group), 1.0)


def schedule_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the state of the learning-rate schedule."""
    schedules: list[dict[str, Any]] = checkpoint[SCHEDULES]
    return schedules[0] if schedules else {}


def is_plateau(checkpoint: Checkpoint) -> bool:
    """Return whether the schedule is `ReduceLROnPlateau`; the others are functions of the step."""
    return "num_bad_epochs" in schedule_state(checkpoint)


def num_threads(checkpoint: Checkpoint) -> int | None:
    """Return the number of CPU threads per process; None if the checkpoint does not say."""
    return checkpoint.get(NUM_THREADS)


def train_metrics(checkpoint: Checkpoint) -> dict[str, "Tensor"]:
    """Return the sums of the current training epoch: `confusion` (int64, shape (C, C)) and `loss_sum`."""
    return checkpoint[TRAIN_METRICS]


def has_ema(checkpoint: Checkpoint) -> bool:
    """Return whether the weights are a moving average."""
    return CURRENT_WEIGHTS in checkpoint


def is_whole(value: Any) -> bool:
    """Return whether a value is an integer and not a bool."""
    return type(value) is int


def is_finite_number(value: Any) -> bool:
    """Return whether a value is an integer of at most `MAX_STEPS` or a finite float."""
    return (is_whole(value) and abs(value) <= MAX_STEPS) or (type(value) is float and math.isfinite(value))
