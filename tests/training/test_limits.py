"""Runs that end at a limit on steps or time."""

from pathlib import Path

import pytest
from conftest import TINY_RUN, Script
from runs_under_test import (
    PLATEAU,
    assert_equal_weights,
    load_checkpoint,
    reproducible_rows,
    reproducible_scalars,
    result_of,
)


def limit_after(batches: int) -> tuple[str, ...]:
    return ("+callbacks.limit._target_=stop_after.LimitAfter", f"+callbacks.limit.batches={batches}")


@pytest.mark.parametrize(
    ("settings", "limits", "steps"),
    [
        ((), [("trainer.max_steps=3",), ("trainer.max_steps=10",)], 10),
        # The limit falls on a validation.
        (("trainer.val_check_interval=3",), [("trainer.max_steps=10",)], 10),
        # The limit falls on the epoch's last validation, which the schedule monitors.
        ((*PLATEAU, "trainer.val_check_interval=3"), [limit_after(13)], 13),
        # The limit falls between two accumulated batches.
        (("trainer.accumulate_grad_batches=2",), [limit_after(8)], 5),
        (("trainer.accumulate_grad_batches=2", "trainer.val_check_interval=2"), [limit_after(8)], 5),
        (("callbacks=ema", "callbacks.checkpoint.every_n_train_steps=1"), [limit_after(10)], 10),
    ],
    ids=["twice", "at-validation", "plateau", "accumulation", "accumulation-and-validation", "ema"],
)
def test_resume_after_a_limit_mid_epoch_is_bit_exact(
    script: Script,
    tmp_path: Path,
    tiny_idx: Path,
    settings: tuple[str, ...],
    limits: list[tuple[str, ...]],
    steps: int,
) -> None:
    if not settings or settings[0] not in PLATEAU:
        settings = ("scheduler=none", *settings)
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "num_threads=1", *settings, "trainer.max_epochs=3")
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    for limit in limits:
        stopped = script("train.py", *settings, *limit, "output_dir=run", "resume=auto")
        assert (stopped.returncode, stopped.stderr) == (0, "")
    last = load_checkpoint(tmp_path / "run")
    assert last["global_step"] == steps
    # The checkpoint includes the validation at the limit.
    best = last["callbacks"]["BestCheckpoint"]
    if (accuracy := result_of(tmp_path / "run")["val/accuracy"]) is not None:
        assert best["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    done = script("train.py", *settings, "output_dir=run", "resume=auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert_equal_weights(tmp_path / "run", tmp_path / "whole")
    one, other = (load_checkpoint(tmp_path / name) for name in ("whole", "run"))
    assert other["lr_schedulers"] == one["lr_schedulers"]
    for checkpoint in (one, other):
        del checkpoint["callbacks"]["EpochHistory"]["seconds"]  # the duration of a run varies
    assert other["callbacks"]["EpochHistory"] == one["callbacks"]["EpochHistory"]
    assert [row["epoch"] for row in other["callbacks"]["EpochHistory"]["epochs"]] == [1, 2, 3]
    # The curves keep nothing of the interrupted epoch.
    for logged in (reproducible_rows, reproducible_scalars):
        assert logged(tmp_path / "run") == logged(tmp_path / "whole")


def test_plateau_with_max_steps_and_no_progress_bar_runs(script: Script, tiny_idx: Path) -> None:
    settings = ("scheduler=plateau", "trainer.max_steps=3", "trainer.enable_progress_bar=false")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings)
    assert (done.returncode, done.stderr) == (0, "")


def test_time_limit_ends_a_run_with_a_result(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        "trainer.max_epochs=-1",
        "trainer.max_time=00:00:00:05",
        "scheduler=none",
        f"data.root={tiny_idx}",
        "output_dir=run",
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = result_of(tmp_path / "run")
    assert result["fit_seconds"] < 60
    assert result["test/accuracy"] is not None
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()
