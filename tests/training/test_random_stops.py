"""Runs stopped at random moments."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_RUN
from runs_under_test import BUSY, EVERY_STEP, INTERRUPTED, KILLED, TERMINATED, assert_same_run, load
from stop_and_go import stop_and_go

pytestmark = pytest.mark.run


def run_lives(folder: Path, root: Path, *settings: str, stops: int = 0, **options: Any) -> list[int]:
    """Stop a run at random moments of the time that the whole one took; return how each attempt ended."""
    if stops:
        whole = json.loads((folder.with_name("whole") / "result.json").read_text())
        options["longest"] = 2 * whole["fit_seconds"] / stops
    settings = (*TINY_RUN, f"data.root={root}", *settings)
    codes, steps = stop_and_go(folder, settings, stops, **options)
    assert codes[-1] == 0, folder.with_suffix(".log").read_text()[-3000:]
    if stops:
        # Stopped within the training, too, and not only while a process starts or at the end
        within = set(steps) - {0, load(folder)["global_step"]}
        assert len(within) >= stops / 6, (codes, steps)
    return codes


@pytest.mark.parametrize(
    ("stops", "epochs"),
    [(8, 32), pytest.param(20, 800, marks=[pytest.mark.soak, pytest.mark.timeout(9000)])],
)
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(
    tmp_path: Path, tiny_idx: Path, stops: int, epochs: int
) -> None:
    settings = (*BUSY, f"trainer.max_epochs={epochs}", "callbacks.checkpoint.every_n_train_steps=3")
    run_lives(tmp_path / "whole", tiny_idx, *settings)
    codes = run_lives(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=1)
    assert codes.count(KILLED) >= 0.75 * stops, codes  # an attempt may also end before its time
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
        ("scheduler=plateau", "scheduler.patience=0"),
    ],
    ids=["workers", "validation-within-epochs-and-accumulation", "steps-from-epochs-ends", "plateau"],
)
def test_so_does_one_with(tmp_path: Path, tiny_idx: Path, settings: tuple[str, ...], stops: int) -> None:
    settings = (*BUSY, "trainer.max_epochs=12", *settings)
    run_lives(tmp_path / "whole", tiny_idx, *settings)
    run_lives(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=2)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    ("stops", "epochs"),
    [(8, 12), pytest.param(200, 200, marks=[pytest.mark.soak, pytest.mark.timeout(9000)])],
)
def test_a_run_ended_by_signals_goes_on_from_the_very_step(
    tmp_path: Path, tiny_idx: Path, stops: int, epochs: int
) -> None:
    """Without any checkpoint but those of epochs' ends and of the signals."""
    settings = (*BUSY, f"trainer.max_epochs={epochs}")
    run_lives(tmp_path / "whole", tiny_idx, *settings)
    signals = ("TERM", "INT", "KILL")
    codes = run_lives(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=3, signals=signals)
    assert codes.count(INTERRUPTED) > 0
    assert codes.count(TERMINATED) > 0
    before_training = {-signal.SIGTERM, -signal.SIGINT}
    assert set(codes) <= {0, INTERRUPTED, TERMINATED, KILLED} | before_training, codes
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
