import re
from pathlib import Path

import pytest
import torch

from mobilenet_lab.checkpoints import state
from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.runtime.errors import InputError

DOCUMENTED = set(re.findall(r"^\| `([^`]+)` \|", state.__doc__ or "", re.MULTILINE))
OPTIONAL = {"MixedPrecision", "current_model_state", "averaging_state"}


@pytest.fixture
def last(tiny_run: Path) -> state.Checkpoint:
    return load_checkpoint(tiny_run / "checkpoints/last.ckpt")


def test_table_documents_every_key_of_a_checkpoint(last: state.Checkpoint) -> None:
    assert last.keys() == DOCUMENTED - OPTIONAL


def test_constants_are_documented_keys() -> None:
    constants = {value for name, value in vars(state).items() if name.isupper() and isinstance(value, str)}
    assert constants <= DOCUMENTED


def test_callbacks_are_stored_by_class_name(last: state.Checkpoint) -> None:
    assert last[state.CALLBACKS].keys() == {"EpochHistory", "BestCheckpoint"}


def test_accessors_describe_the_run(last: state.Checkpoint) -> None:
    assert (state.epochs_done(last), state.global_step(last)) == (2, 14)
    assert state.optimizer_name(last) == "SGD"
    assert state.optimizer_settings(last)["nesterov"] is True
    assert state.schedule_state(last)["last_epoch"] == 14
    assert not state.is_plateau(last)
    assert not state.has_ema(last)
    assert state.train_metrics(last)["confusion"].sum() == 100
    assert state.num_threads(last) is not None


def test_state_of_another_version_is_refused(last: state.Checkpoint) -> None:
    parameters = [value for key, value in last["state_dict"].items() if "running" not in key]
    sizes = [len(group["params"]) for group in last["optimizer_states"][0]["param_groups"]]
    parameters = sorted(
        (p for p in parameters if p.is_floating_point()), key=lambda parameter: parameter.ndim <= 1
    )
    assert len(parameters) == sum(sizes)
    state.check_state(last, Path("last.ckpt"), parameters)
    for key in ("train_metrics", "num_threads", "callbacks", "ImageDataModule"):
        older = {name: value for name, value in last.items() if name != key}
        with pytest.raises(InputError, match=r"^resume=last.ckpt: the training state in this checkpoint is "):
            state.check_state(older, Path("last.ckpt"), parameters)
    with pytest.raises(InputError, match="incomplete"):
        state.check_state(last, Path("last.ckpt"), [torch.zeros(1)] * sum(sizes))
