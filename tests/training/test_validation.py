"""Validation metrics and the best checkpoint of a run."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from runs_under_test import assert_equal_bits, load, result_of


def test_best_by_loss_still_reports_its_accuracy(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    """That of the weights that are kept, also where an epoch has several validations."""
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.val_check_interval=2")
    best = ("callbacks.best.monitor=val/loss", "callbacks.best.mode=min")
    done = script("train.py", *settings, *best)
    assert done.returncode == 0, done.stderr
    data = ("data=idx", f"data.root={tiny_idx}", "data.val_split=20", "split=val", "format=json")
    measured = json.loads(script("evaluate.py", "ckpt=run", *data).stdout)["accuracy"]
    assert result_of(tmp_path / "run")["val/accuracy"] == pytest.approx(measured, abs=1e-6)
    # It goes on, too.
    more = script("train.py", *settings, *best, "resume=run", "trainer.max_epochs=3")
    assert more.returncode == 0, more.stderr
    measured = json.loads(script("evaluate.py", "ckpt=run", *data).stdout)["accuracy"]
    assert result_of(tmp_path / "run")["val/accuracy"] == pytest.approx(measured, abs=1e-6)


def test_the_best_of_validations_after_every_step(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.val_check_interval=1"]
    assert script("train.py", *settings).returncode == 0
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    accuracies = {int(row["step"]): float(row["val/accuracy"]) for row in rows if row["val/accuracy"]}
    assert len(accuracies) == 14
    best = load(tmp_path / "run", "best")["callbacks"]["BestCheckpoint"]
    assert best["score"] == pytest.approx(max(accuracies.values()))


def test_epochs_without_validation_repeat_no_figures(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "trainer.max_epochs=3",
        "trainer.check_val_every_n_epoch=2",
        "output_dir=run",
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " of 3: train accuracy" in line]
    assert ["val accuracy" in line for line in lines] == [False, True, False]
    history = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["callbacks"][
        "EpochHistory"
    ]
    assert ["val/loss" in row for row in history["epochs"]] == [False, True, False]


@pytest.mark.parametrize("why", ["data.val_split=0", "trainer.max_steps=3"])
def test_without_validation_best_is_the_last(
    script: Script, tmp_path: Path, tiny_idx: Path, why: str
) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", why, "output_dir=run")
    assert (done.returncode, done.stderr) == (0, "")
    checkpoints = tmp_path / "run/checkpoints"
    assert_equal_bits(checkpoints / "best.ckpt", checkpoints / "last.ckpt")
    assert result_of(tmp_path / "run")["val/accuracy"] is None


def test_a_network_that_no_validation_has_seen_is_not_the_best(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=4")
    assert script("train.py", *settings, "trainer.max_steps=10", "output_dir=run").returncode == 0
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "alone")
    done = script("train.py", *settings, "resume=alone/last.ckpt", "trainer.max_steps=12", "output_dir=on")
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path / "on")["val/accuracy"] is None
