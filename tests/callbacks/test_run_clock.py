import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.callbacks import Timer

from mobilenet_lab.callbacks.max_steps import MaxSteps
from mobilenet_lab.callbacks.run_clock import RunClock, as_duration, training_batches_left, validations_left


def state(**values: Any) -> Any:
    """Return what the clock reads of a trainer: 3 epochs of 10 batches, and 4 validation batches."""
    defaults = {
        "callbacks": [],
        "max_epochs": 3,
        "current_epoch": 0,
        "global_step": 0,
        "accumulate_grad_batches": 1,
        "num_training_batches": 10,
        "num_val_batches": [4],
        "val_check_batch": 10,
        "check_val_every_n_epoch": 1,
    }
    return SimpleNamespace(**defaults | values)


@pytest.mark.parametrize(
    ("values", "done", "left"),
    [
        ({}, 0, 30),
        ({"current_epoch": 2}, 7, 3),
        ({"max_epochs": -1}, 7, None),
        ({"max_epochs": -1, "callbacks": [MaxSteps(12)], "global_step": 5}, 5, 7),
        ({"callbacks": [MaxSteps(12)], "global_step": 5, "accumulate_grad_batches": 2}, 10, 14),
        ({"callbacks": [MaxSteps(1000)], "global_step": 5}, 5, 25),
        ({"current_epoch": 3}, 0, 0),
    ],
)
def test_batches_left_end_at_the_first_limit(values: dict[str, Any], done: int, left: int | None) -> None:
    assert training_batches_left(state(**values), done) == left


@pytest.mark.parametrize(
    ("values", "batches", "left"),
    [
        ({}, 30, 3),
        ({}, 15, 2),
        ({}, 0, 0),
        ({"val_check_batch": 5}, 30, 6),
        ({"check_val_every_n_epoch": 2}, 30, 2),
        ({"check_val_every_n_epoch": None, "val_check_batch": 7}, 30, 5),
        ({"val_check_batch": math.inf}, 30, 0),
    ],
)
def test_validations_left_follow_their_interval(values: dict[str, Any], batches: int, left: int) -> None:
    assert validations_left(state(**values), batches) == left


def test_time_left_covers_training_and_validation_of_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock, trainer = RunClock(), state()
    clock.start()
    for batch, seconds in enumerate([9.0, 0.5, 0.5]):  # the first batch is slow, and not counted
        assert clock.seconds_left(trainer) is None
        now[0] += seconds
        clock.count_batch(batch, 16)
        if batch == 1:
            break
    assert clock.images_per_second == 32
    # 28 batches of 0.5 s, and 3 validations of 4 batches, each a third of a training batch
    assert clock.seconds_left(trainer) == pytest.approx(28 * 0.5 + 12 * 0.5 / 3)
    clock.count_validation(4, seconds=4.0)
    assert clock.seconds_left(trainer) == pytest.approx(28 * 0.5 + 12 * 1.0)
    trainer.current_epoch, clock.batches_of_epoch = 2, 10
    assert clock.seconds_left(trainer, val_batches_done=3) == pytest.approx(1.0)
    trainer.callbacks = [Timer("00:00:00:00", verbose=False)]
    trainer.current_epoch = 0
    assert clock.seconds_left(trainer) == 0  # trainer.max_time ends the run first


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (0.2, "0:01"), (72, "1:12"), (3599.5, "1:00:00"), (90_061, "25:01:01")],
)
def test_durations_are_rounded_up(seconds: float, shown: str) -> None:
    assert as_duration(seconds) == shown
