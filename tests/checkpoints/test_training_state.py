"""A training state from anyone is compared with the optimizer of the run before it is restored."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.state import Checkpoint
from mobilenet_lab.checkpoints.training_state import check_state
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier


@pytest.fixture
def last(tiny_run: Path) -> Checkpoint:
    return load_checkpoint(tiny_run / "checkpoints/last.ckpt")


@pytest.fixture(scope="module")
def optimizer() -> Optimizer:
    groups = ImageClassifier({"filters": 1, "stem_stride": None}).parameter_groups()
    return SGD(groups, lr=0.1, momentum=0.9, nesterov=True)


def test_state_of_a_run_is_accepted(last: Checkpoint, optimizer: Optimizer) -> None:
    check_state(last, Path("last.ckpt"), optimizer)


@pytest.mark.parametrize("key", ["train_metrics", "num_threads", "callbacks", "ImageDataModule"])
def test_state_of_another_version_is_refused(last: Checkpoint, optimizer: Optimizer, key: str) -> None:
    del last[key]
    with pytest.raises(
        InputError, match=r"^resume=last.ckpt: the training state in this checkpoint is incomplete"
    ):
        check_state(last, Path("last.ckpt"), optimizer)


def _group(key: str, value: Any) -> Callable[[Checkpoint], Any]:
    return lambda state: state["optimizer_states"][0]["param_groups"][0].update({key: value})


CHANGES: dict[str, Callable[[Checkpoint], Any]] = {
    "lr is a text": _group("lr", "x"),
    "lr is NaN": _group("lr", math.nan),
    "momentum is None": _group("momentum", None),
    "momentum is a list": _group("momentum", [0.9]),
    "nesterov is a text": _group("nesterov", "\x1b[2J"),
    "foreach is a list": _group("foreach", [1]),
    "moment is a text": lambda state: state["optimizer_states"][0]["state"][0].update(momentum_buffer="x"),
    "moment has another shape": lambda s: s["optimizer_states"][0]["state"][0].update(x=torch.zeros(3)),
    "schedule has another optimizer": lambda state: state["lr_schedulers"][0].update(optimizer=3),
    "schedule has another method": lambda state: state["lr_schedulers"][0].update(step=3),
    "position is huge": lambda state: state["ImageDataModule"].update(batch=1 << 60),
    "seed is a text": lambda state: state["ImageDataModule"].update(seed="\x1b[2J"),
    "threads are negative": lambda state: state.update(num_threads=-1),
    "metrics of other classes": lambda s: s["train_metrics"].update(
        confusion=torch.zeros(3, 3, dtype=torch.int64)
    ),
    "metrics are floats": lambda state: state["train_metrics"].update(confusion=torch.zeros(10, 10)),
    "loss is a list": lambda state: state["train_metrics"].update(loss_sum=[1.0]),
    "loss has a shape": lambda state: state["train_metrics"].update(loss_sum=torch.zeros(3)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_malformed_state_is_refused(
    last: Checkpoint, optimizer: Optimizer, change: Callable[[Checkpoint], Any]
) -> None:
    state = copy.deepcopy(last)
    change(state)
    with pytest.raises(InputError, match="incomplete, malformed or from another version"):
        check_state(state, Path("last.ckpt"), optimizer)
