"""Runs that stop and are resumed."""

import csv
import shutil
from pathlib import Path

import pytest
from conftest import TINY_RUN, Script
from omegaconf import OmegaConf
from runs_under_test import (
    BUSY,
    KILLED,
    assert_equal_weights,
    assert_same_run,
    load_checkpoint,
    reproducible_rows,
    result_of,
    stop_after,
)

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.resume import finished_result


def test_resume_mid_epoch_is_bit_exact(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}")
    # 100 images in batches of 16: an epoch has 7 steps, so step 10 is within the second epoch.
    done = script(
        "train.py",
        *settings,
        "output_dir=half",
        "callbacks.checkpoint.every_n_train_steps=5",
        *stop_after("steps=12"),
    )
    assert done.returncode == KILLED
    assert load_checkpoint(tmp_path / "half")["global_step"] == 10
    done = script("train.py", *settings, "output_dir=resumed", "resume=half")
    assert done.returncode == 0, done.stderr
    for name in ("last", "best"):
        assert_equal_weights(tmp_path / "resumed", tiny_run, name)
    resumed, whole = result_of(tmp_path / "resumed"), result_of(tiny_run)
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs"):
        assert resumed[key] == whole[key]
    assert reproducible_rows(tmp_path / "resumed") == reproducible_rows(tiny_run)
    assert resumed["images_per_second"] < 50 * whole["images_per_second"]


def test_resume_between_epochs_with_workers_is_bit_exact(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "data.num_workers=2", "num_threads=1"]
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    done = script("train.py", *settings, "output_dir=stopped", *stop_after("steps=7"))
    assert done.returncode == KILLED
    assert load_checkpoint(tmp_path / "stopped")["global_step"] == 7
    assert script("train.py", *settings, "output_dir=stopped", "resume=auto").returncode == 0
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_finished_run_resumes_with_another_cosine_cycle(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    common = [*TINY_RUN, *BUSY, f"data.root={tiny_idx}", "scheduler.warmup_steps=2", "output_dir=stopped"]
    results = []
    for settings in (
        ["scheduler=cosine", "trainer.max_epochs=2"],
        ["scheduler=cosine_restarts", "scheduler.cycles=[2,3]", "trainer.max_epochs=5", "resume=stopped"],
        ["scheduler=cosine_restarts", "scheduler.cycles=[2,3]", "trainer.max_epochs=5", "output_dir=whole"],
    ):
        done = script("train.py", *common, *settings)
        assert done.returncode == 0, done.stderr
        results.append(result_of(tmp_path / "stopped"))
    # best.ckpt may be from the first cycle, and it records the last learning rate of its schedule.
    assert_same_run(tmp_path / "whole", tmp_path / "stopped", names=["last"])
    first, second, _ = results
    assert second["total_seconds"] > second["fit_seconds"] + first["fit_seconds"] / 2


def test_auto_starts_then_resumes_then_reports_a_finished_run(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "resume=auto", "trainer.max_steps=13"]
    done = script("train.py", *settings, *stop_after("steps=9"))
    assert done.returncode == KILLED
    assert load_checkpoint(tmp_path / "run")["global_step"] == 7
    done = script("train.py", *settings)
    assert done.returncode == 0, done.stderr
    assert "epoch 1/2" not in done.stdout
    written = (tmp_path / "run/result.json").stat().st_mtime_ns
    done = script("train.py", *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run is already finished\n"
    assert (tmp_path / "run/result.json").stat().st_mtime_ns == written


def test_auto_requires_output_dir(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "resume=auto")
    assert done.returncode == 2
    assert done.stderr.startswith("error: resume=auto: needs output_dir=<folder>; ")
    assert done.stderr.count("\n") == 1
    # A given folder is used even if its name looks like a default.
    where = "output_dir=outputs/2026-01-31/12-00-00"
    for epochs in (1, 2):
        settings = ["resume=auto", where, f"trainer.max_epochs={epochs}"]
        assert script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings).returncode == 0
    assert [path.name for path in (tmp_path / "outputs/2026-01-31").iterdir()] == ["12-00-00"]
    assert load_checkpoint(tmp_path / "outputs/2026-01-31/12-00-00")["epoch"] == 1


def test_auto_keeps_a_finished_run_that_has_no_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.result.write_text('{"epochs": 2}')
    run.config.write_text(f"seed: 0\noutput_dir: {run}\n")
    same, other = (
        OmegaConf.create({"seed": seed, "output_dir": str(run), "overwrite": False}) for seed in (0, 1)
    )
    assert finished_result(same) == {"epochs": 2}
    with pytest.raises(InputError, match="a finished run with other settings and no checkpoint to resume"):
        finished_result(other)
    other.overwrite = True
    assert finished_result(other) is None


def test_empty_result_file_counts_as_unfinished(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run/result.json").write_text("")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "resume=auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert result_of(tmp_path / "run")["epochs"] == 2


@pytest.mark.parametrize(
    ("end", "resume"),
    [("trainer.max_epochs=2", "run"), ("trainer.max_steps=14", "run/checkpoints/last.ckpt")],
)
def test_run_killed_after_its_last_epoch_is_tested_on_resume(
    script: Script, tmp_path: Path, tiny_idx: Path, end: str, resume: str
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.max_epochs=5", end]
    settings += ["trainer.max_time=00:10:00:00"]
    done = script("train.py", *settings, "+callbacks.stop._target_=stop_after.KillAtTestStart")
    assert done.returncode == KILLED
    assert not (tmp_path / "run/result.json").exists()
    done = script("train.py", *settings, f"resume={resume}")
    assert done.returncode == 0, done.stderr
    assert "had already elapsed" not in done.stdout
    result = result_of(tmp_path / "run")
    assert result["epochs"] == 2
    assert None not in (result["train/accuracy"], result["val/accuracy"], result["test/accuracy"])
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows if row["val/accuracy"]] == ["0", "1"]


def test_checkpoints_are_saved_every_n_minutes(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    often = "callbacks.checkpoint.every_n_minutes=0.00001"
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", often]
    done = script("train.py", *settings, *stop_after("steps=4"))
    assert done.returncode == KILLED
    assert load_checkpoint(tmp_path / "run")["global_step"] == 4
