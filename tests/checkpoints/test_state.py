import re
from pathlib import Path

import pytest

from mobilenet_lab.checkpoints import state
from mobilenet_lab.checkpoints.load import load_checkpoint

DOCUMENTED = set(re.findall(r"^\| `([^`]+)` \|", state.__doc__ or "", re.MULTILINE))
OPTIONAL = {"MixedPrecision", "current_model_state", "averaging_state"}
NESTED = {state.LR_FACTOR}  # in groups of the optimizer


@pytest.fixture
def last(tiny_run: Path) -> state.Checkpoint:
    return load_checkpoint(tiny_run / "checkpoints/last.ckpt")


def test_table_documents_every_key_of_a_checkpoint(last: state.Checkpoint) -> None:
    assert last.keys() == DOCUMENTED - OPTIONAL


def test_constants_are_documented_keys() -> None:
    constants = {value for name, value in vars(state).items() if name.isupper() and isinstance(value, str)}
    assert constants - NESTED <= DOCUMENTED


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
