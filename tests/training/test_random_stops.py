"""Runs that are stopped at random moments and resumed; `make soak` runs longer versions."""

import signal
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_RUN
from runs_under_test import (
    BUSY,
    EVERY_STEP,
    INTERRUPTED,
    KILLED,
    TERMINATED,
    assert_same_run,
    load_checkpoint,
    result_of,
)
from stop_and_go import stop_and_go

pytestmark = pytest.mark.run


def run_attempts(folder: Path, root: Path, *settings: str, stops: int = 0, **options: Any) -> list[int]:
    """Train to the end with stops at random moments; return the exit codes."""
    if stops:
        whole = result_of(folder.with_name("whole"))
        options["longest"] = 2 * whole["fit_seconds"] / stops
    settings = (*TINY_RUN, f"data.root={root}", *settings)
    codes, steps = stop_and_go(folder, settings, stops, **options)
    assert codes[-1] == 0, folder.with_suffix(".log").read_text()[-3000:]
    if stops:
        # Some stops are within training, not all at the start of a process or at the end.
        within = set(steps) - {0, load_checkpoint(folder)["global_step"]}
        assert len(within) >= stops / 6, (codes, steps)
    return codes


@pytest.mark.parametrize(
    ("stops", "epochs"),
    [(8, 32), pytest.param(20, 800, marks=[pytest.mark.soak, pytest.mark.timeout(9000)])],
)
def test_resume_after_random_kills_is_bit_exact(
    tmp_path: Path, tiny_idx: Path, stops: int, epochs: int
) -> None:
    settings = (*BUSY, f"trainer.max_epochs={epochs}", "callbacks.checkpoint.every_n_train_steps=3")
    run_attempts(tmp_path / "whole", tiny_idx, *settings)
    codes = run_attempts(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=1)
    assert codes.count(KILLED) >= 0.75 * stops, codes  # an attempt may end before it is killed
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("stops", [4, pytest.param(6, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "settings",
    [
        ("data.num_workers=2", EVERY_STEP),
        (
            "trainer.val_check_interval=0.5",
            "trainer.accumulate_grad_batches=2",
            "optimizer=adamw",
            EVERY_STEP,
        ),
        ("scheduler=cosine", "trainer.max_epochs=-1", "trainer.max_steps=84"),
        (
            "scheduler=plateau",
            "scheduler.patience=0",
            "callbacks=[ema,early_stopping]",
            "callbacks.early_stopping.patience=6",
        ),
    ],
    ids=["workers", "validation-within-epochs-and-accumulation", "max-steps", "plateau-and-early-stopping"],
)
def test_settings_with_state_resume_bit_exactly(
    tmp_path: Path, tiny_idx: Path, settings: tuple[str, ...], stops: int
) -> None:
    settings = (*BUSY, "trainer.max_epochs=12", *settings)
    run_attempts(tmp_path / "whole", tiny_idx, *settings)
    run_attempts(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=2)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    ("stops", "epochs"),
    [(8, 12), pytest.param(200, 200, marks=[pytest.mark.soak, pytest.mark.timeout(9000)])],
)
def test_resume_after_random_signals_is_bit_exact(
    tmp_path: Path, tiny_idx: Path, stops: int, epochs: int
) -> None:
    """The only checkpoints are those at the ends of epochs and on signals."""
    settings = (*BUSY, f"trainer.max_epochs={epochs}")
    run_attempts(tmp_path / "whole", tiny_idx, *settings)
    signals = ("TERM", "INT", "KILL")
    codes = run_attempts(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=3, signals=signals)
    assert codes.count(INTERRUPTED) > 0
    assert codes.count(TERMINATED) > 0
    before_training = {-signal.SIGTERM, -signal.SIGINT}
    assert set(codes) <= {0, INTERRUPTED, TERMINATED, KILLED} | before_training, codes
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
