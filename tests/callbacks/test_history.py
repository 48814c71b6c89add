"""The history of a run is restored from plain numbers only."""

import math
from typing import Any

import pytest

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint
from mobilenet_lab.callbacks.history import EpochHistory

GOOD: dict[str, Any] = {
    "epochs": [{"epoch": 1, "train/loss": 0.5, "val/loss": math.nan}],
    "validation": {"epoch": 1, "val/loss": math.nan},
    "seconds": 2.5,
}


def test_history_of_a_run_is_restored() -> None:
    history = EpochHistory()
    history.load_state_dict(GOOD)
    assert history.epochs_done() == 1
    assert history.total_seconds() == 2.5
    assert str(history.state_dict()) == str(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": [3]},
        {"epochs": [{}]},
        {"epochs": [{"epoch": "x"}]},
        {"epochs": [{"epoch": 1, "train/loss": "\x1b[2J"}]},
        {"validation": {"epoch": 1, "val/loss": [1]}},
        {"validation": 3},
        {"seconds": math.nan},
        {"seconds": -1.0},
        {"seconds": None},
    ],
)
def test_malformed_history_is_refused_before_training(change: dict[str, Any]) -> None:
    # The errors that `training.restore_errors` names the checkpoint for
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        EpochHistory().load_state_dict(GOOD | change)


@pytest.mark.parametrize("change", [{"score": "x"}, {"score": math.nan}, {"accuracy": math.nan}])
def test_malformed_best_score_is_refused_before_training(change: dict[str, Any]) -> None:
    best = BestCheckpoint("run", "val/accuracy", "max")
    good = {"monitor": "val/accuracy", "mode": "max", "score": 0.5, "accuracy": 0.5}
    best.load_state_dict(good)
    with pytest.raises((TypeError, ValueError)):
        best.load_state_dict(good | change)
