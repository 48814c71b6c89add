"""Runs resumed with other settings."""

from pathlib import Path

import pytest
from conftest import TINY_RUN, Script
from runs_under_test import PLATEAU, load_checkpoint, stop_after


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "the checkpoint already has 2 epochs; to train longer, use trainer.max_epochs=3 or more"),
        (
            ["trainer.max_epochs=-1", "trainer.max_steps=9"],
            "the checkpoint already has 14 steps; to train longer, use trainer.max_steps=15 or more",
        ),
        (
            ["trainer.max_epochs=3", "model.filters=2"],
            "the checkpoint has model.filters=1, but this run has model.filters=2; use the same value",
        ),
        (
            ["trainer.max_epochs=3", "optimizer=adamw"],
            "the checkpoint was trained with SGD, but this run uses AdamW; choose the same optimizer",
        ),
    ],
)
def test_impossible_resume_is_one_line(
    script: Script, tiny_run: Path, tiny_idx: Path, settings: list[str], message: str
) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", f"resume={tiny_run}", *settings)
    assert done.returncode == 2
    checkpoint = tiny_run / "checkpoints/last.ckpt"
    assert done.stderr == f"error: resume={checkpoint}: {message}\n"


def test_resume_lists_changed_and_ignored_settings(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=3", "output_dir=run")
    changes = ("augmentation=none", "optimizer.weight_decay=0.5")
    done = script("train.py", *settings, f"resume={tiny_run}", *changes)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (line for line in done.stdout.splitlines() if "resumes with changed settings" in line)
    assert "optimizer.weight_decay" not in line
    kept = "optimizer.weight_decay=0.5 is ignored: the checkpoint restores 0.0"
    assert sum(kept in line for line in done.stdout.splitlines()) == 1
    assert "augmentation._target_=mobilenet_lab.data.transforms.augmentation.Identity (was " in line
    assert "max_epochs" not in line
    elsewhere = (*settings[:-1], "output_dir=plateau")
    refused = script("train.py", *elsewhere, f"resume={tiny_run}", "scheduler=plateau")
    assert refused.returncode == 2
    assert "choose the scheduler that the checkpoint was trained with" in refused.stderr
    # Cosmetic settings do not make it another run, but those of the network do.
    cosmetic = ("trainer.log_every_n_steps=1", "data.cache=memory", "trainer.enable_progress_bar=false")
    finished = script("train.py", *settings, *changes, *cosmetic, "resume=auto")
    assert finished.stdout == "run is already finished\n"
    other = script("train.py", *settings, *changes, "resume=auto", "model.filters=2")
    assert other.returncode == 2
    assert (
        "the checkpoint has model.filters=1, but this run has model.filters=2; use the same value"
        in other.stderr
    )
    # An ignored value does not count as a setting of the run so far.
    longer = script("train.py", *settings, "resume=run", "trainer.max_epochs=4", changes[0])
    assert longer.returncode == 0, longer.stderr
    assert "is ignored" not in longer.stdout


def test_learning_rate_lowered_by_plateau_is_not_a_changed_setting(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, *PLATEAU, f"data.root={tiny_idx}", "output_dir=run")
    assert script("train.py", *settings, "trainer.max_epochs=8").returncode == 0
    (state,) = load_checkpoint(tmp_path / "run")["optimizer_states"]
    assert state["param_groups"][0]["lr"] < 0.2
    same = script("train.py", *settings, "resume=auto", "trainer.max_epochs=9")
    assert same.returncode == 0, same.stderr
    assert "is ignored" not in same.stdout
    changed = script("train.py", *settings, "resume=auto", "trainer.max_epochs=10", "optimizer.lr=0.01")
    assert changed.returncode == 0, changed.stderr
    assert "optimizer.lr=0.01 is ignored" in changed.stdout
    again = script("train.py", *settings, "resume=auto", "trainer.max_epochs=11", "optimizer.lr=0.01")
    assert again.returncode == 0, again.stderr
    assert "optimizer.lr=0.01 is ignored" in again.stdout


def test_changed_number_of_threads_is_a_warning(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run"]
    script("train.py", *settings, "num_threads=1", *stop_after("steps=9"))
    done = script("train.py", *settings, "num_threads=2", "resume=run")
    assert "the run so far used 1 threads and now uses 2" in done.stdout + done.stderr
