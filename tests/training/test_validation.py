"""Validation metrics and the best checkpoint of a run."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from conftest import TINY_RUN, Script
from runs_under_test import differences, load_checkpoint, result_of


def test_best_by_loss_reports_the_accuracy_of_its_weights(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    """The accuracy belongs to the saved weights even if an epoch has several validations."""
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.val_check_interval=2")
    best = ("callbacks.best.monitor=val/loss", "callbacks.best.mode=min")
    done = script("train.py", *settings, *best)
    assert done.returncode == 0, done.stderr
    data = ("data=idx", f"data.root={tiny_idx}", "data.val_split=20", "split=val", "format=json")
    measured = json.loads(script("evaluate.py", "ckpt=run", *data).stdout)["accuracy"]
    assert result_of(tmp_path / "run")["val/accuracy"] == pytest.approx(measured, abs=1e-6)
    # A resumed run reports it as well.
    done = script("train.py", *settings, *best, "resume=run", "trainer.max_epochs=3")
    assert done.returncode == 0, done.stderr
    measured = json.loads(script("evaluate.py", "ckpt=run", *data).stdout)["accuracy"]
    assert result_of(tmp_path / "run")["val/accuracy"] == pytest.approx(measured, abs=1e-6)


def test_best_checkpoint_has_the_highest_score_of_all_validations(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.val_check_interval=1"]
    assert script("train.py", *settings).returncode == 0
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    accuracies = {int(row["step"]): float(row["val/accuracy"]) for row in rows if row["val/accuracy"]}
    assert len(accuracies) == 14
    best = load_checkpoint(tmp_path / "run", "best")["callbacks"]["BestCheckpoint"]
    assert best["score"] == pytest.approx(max(accuracies.values()))


def test_epochs_without_validation_have_no_validation_metrics(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "trainer.max_epochs=3",
        "trainer.check_val_every_n_epoch=2",
        "output_dir=run",
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "/3: accuracy train" in line]
    assert [", val " in line for line in lines] == [False, True, False]
    history = load_checkpoint(tmp_path / "run")["callbacks"]["EpochHistory"]
    assert ["val/loss" in row for row in history["epochs"]] == [False, True, False]


@pytest.mark.parametrize("setting", ["data.val_split=0", "trainer.max_steps=3"])
def test_best_checkpoint_without_validation_is_the_last(
    script: Script, tmp_path: Path, tiny_idx: Path, setting: str
) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", setting, "output_dir=run")
    assert (done.returncode, done.stderr) == (0, "")
    best, last = (load_checkpoint(tmp_path / "run", name)["state_dict"] for name in ("best", "last"))
    assert differences(best, last) == []
    assert result_of(tmp_path / "run")["val/accuracy"] is None


def test_weights_without_validation_have_no_val_accuracy(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=4")
    assert script("train.py", *settings, "trainer.max_steps=10", "output_dir=run").returncode == 0
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "alone")
    done = script(
        "train.py", *settings, "resume=alone/last.ckpt", "trainer.max_steps=12", "output_dir=resumed"
    )
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path / "resumed")["val/accuracy"] is None
