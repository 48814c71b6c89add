"""Resuming a run."""

import csv
import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from runs_under_test import BUSY, KILLED, assert_equal_bits, assert_same_run, load, result_of, stop_after


def test_resume_in_the_middle_of_an_epoch_ends_with_the_same_bits(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}")
    # 100 images in batches of 16: 7 steps an epoch, so step 10 is in the middle of the second.
    done = script(
        "train.py",
        *settings,
        "output_dir=half",
        "callbacks.checkpoint.every_n_train_steps=5",
        "+callbacks.stop._target_=stop_after.StopAfter",
        "+callbacks.stop.steps=12",
    )
    assert done.returncode == -signal.SIGKILL
    checkpoint = torch.load(tmp_path / "half/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 10
    done = script("train.py", *settings, "output_dir=whole", "resume=half")
    assert done.returncode == 0, done.stderr
    for name in ("last.ckpt", "best.ckpt"):
        assert_equal_bits(tmp_path / "whole/checkpoints" / name, tiny_run / "checkpoints" / name)
    resumed, whole = result_of(tmp_path / "whole"), result_of(tiny_run)
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs"):
        assert resumed[key] == whole[key]
    logged = [(folder / "metrics.csv").read_text() for folder in (tmp_path / "whole", tiny_run)]
    assert logged[0] == logged[1]
    assert resumed["images_per_second"] < 50 * whole["images_per_second"]  # type: ignore[operator]


def test_workers_begin_with_the_next_epoch_after_the_end_of_one(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "data.num_workers=2", "num_threads=1"]
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    done = script("train.py", *settings, "output_dir=stopped", *stop_after("steps=7"))
    assert done.returncode == KILLED
    assert load(tmp_path / "stopped")["global_step"] == 7
    assert script("train.py", *settings, "output_dir=stopped", "resume=auto").returncode == 0
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_finished_run_goes_on_in_another_cycle(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    common = [*TINY_RUN, *BUSY, f"data.root={tiny_idx}", "scheduler.warmup_steps=2", "output_dir=stopped"]
    results = []
    for settings in (
        ["scheduler=cosine", "trainer.max_epochs=2"],
        ["scheduler=cosine_restarts", "scheduler.cycles=[2,3]", "trainer.max_epochs=5", "resume=stopped"],
        ["scheduler=cosine_restarts", "scheduler.cycles=[2,3]", "trainer.max_epochs=5", "output_dir=whole"],
    ):
        done = script("train.py", *common, *settings)
        assert done.returncode == 0, done.stderr
        results.append(json.loads((tmp_path / "stopped/result.json").read_text()))
    # best.ckpt may be of the first cycle, whose last rate is noted in it.
    assert_same_run(tmp_path / "whole", tmp_path / "stopped", names=["last"])
    first, second, _ = results
    assert second["total_seconds"] > second["fit_seconds"] + first["fit_seconds"] / 2


def test_auto_begins_then_goes_on_then_has_nothing_to_do(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "resume=auto", "trainer.max_steps=13"]
    done = script("train.py", *settings, *stop_after("steps=9"))
    assert done.returncode == KILLED
    assert load(tmp_path / "run")["global_step"] == 7
    done = script("train.py", *settings)
    assert done.returncode == 0, done.stderr
    assert "epoch 1 of 2" not in done.stdout
    written = (tmp_path / "run/result.json").stat().st_mtime_ns
    done = script("train.py", *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run is already finished\n"
    assert (tmp_path / "run/result.json").stat().st_mtime_ns == written


def test_auto_needs_a_folder_that_it_finds_again(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "resume=auto")
    assert done.returncode == 2
    assert done.stderr.startswith("error: resume=auto: needs output_dir=<folder>; ")
    assert done.stderr.count("\n") == 1
    # One that is given is meant, whatever its name.
    where = "output_dir=outputs/2026-01-31/12-00-00"
    for epochs in (1, 2):
        settings = ["resume=auto", where, f"trainer.max_epochs={epochs}"]
        assert script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings).returncode == 0
    assert [path.name for path in (tmp_path / "outputs/2026-01-31").iterdir()] == ["12-00-00"]
    assert load(tmp_path / "outputs/2026-01-31/12-00-00")["epoch"] == 1


def test_an_empty_result_is_none(script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run/result.json").write_text("")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "resume=auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 2


@pytest.mark.parametrize(
    ("end", "resume"),
    [("trainer.max_epochs=2", "run"), ("trainer.max_steps=14", "run/checkpoints/last.ckpt")],
)
def test_a_run_killed_after_its_last_epoch_is_measured_yet(
    script: Script, tmp_path: Path, tiny_idx: Path, end: str, resume: str
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.max_epochs=5", end]
    settings += ["trainer.max_time=00:10:00:00"]
    done = script("train.py", *settings, "+callbacks.stop._target_=stop_after.KillInTest")
    assert done.returncode == KILLED
    assert not (tmp_path / "run/result.json").exists()
    done = script("train.py", *settings, f"resume={resume}")
    assert done.returncode == 0, done.stderr
    assert "had already elapsed" not in done.stdout
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["epochs"] == 2
    assert None not in (result["train/accuracy"], result["val/accuracy"], result["test/accuracy"])
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows if row["val/accuracy"]] == ["0", "1"]


def test_checkpoints_by_minutes(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    often = "callbacks.checkpoint.every_n_minutes=0.00001"
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", often]
    done = script("train.py", *settings, *stop_after("steps=4"))
    assert done.returncode == KILLED
    assert load(tmp_path / "run")["global_step"] == 4
