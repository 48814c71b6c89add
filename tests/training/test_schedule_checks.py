"""A run that is too short for its schedule says so."""

import pytest
from conftest import composed

from mobilenet_lab.training.schedule_checks import check_schedule

COSINE = "scheduler=cosine scheduler.warmup_steps="
RESTARTS = "scheduler=cosine_restarts scheduler.warmup_steps=0"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            f"{COSINE}30",
            "scheduler.warmup_steps=30: the run has only 30 steps, so that the learning rate never reaches "
            "optimizer.lr=0.1",
        ),
        (f"{COSINE}29", None),
        (f"{COSINE}29 trainer.max_steps=29", "scheduler.warmup_steps=29: the run has only 29"),
        (f"{COSINE}12 trainer.accumulate_grad_batches=3", "scheduler.warmup_steps=12: the run has only 12"),
        (
            f"{RESTARTS} scheduler.cycles=[1,100,1]",
            "scheduler.cycles=[1, 100, 1]: the run has only 30 steps, which leave none for 2 of the cycles",
        ),
        (RESTARTS, None),
        ("callbacks=ema callbacks.ema.start_step=30", "start_step=30 of the averaged weights: the run has"),
        ("scheduler=none trainer.max_epochs=-1 trainer.max_time=00:01:00:00", None),
        ("task.freeze_epochs=2", "task.freeze_epochs=2: is ignored, because task.freeze_stages=0 freezes"),
        ("task.freeze_stages=4", "task.freeze_stages=4: freezes random weights, because"),
        (
            "task.freeze_stages=4 task.freeze_epochs=3 resume=latest",
            "task.freeze_epochs=3: trainer.max_epochs=3 ends the run before, so the stages stay frozen",
        ),
        ("task.freeze_stages=4 task.freeze_epochs=2 resume=latest", None),
        (
            "task.freeze_stages=4 task.freeze_epochs=2 resume=latest scheduler=range_test",
            "task.freeze_epochs=2: a range test tries each rate once",
        ),
        ("", None),
    ],
)
def test_step_beyond_the_run_is_a_warning(
    overrides: str, line: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Three epochs of ten batches."""
    check_schedule(composed(*overrides.split()), batches=10)
    assert [message.startswith(line or "") for message in caplog.messages] == ([True] if line else [])
