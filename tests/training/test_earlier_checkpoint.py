"""Runs that return to an earlier checkpoint, and what happens to the best one."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from runs_under_test import EVERY_STEP, KILLED, load_checkpoint, stop_after


def step_of(run: Path, name: str = "last") -> int:
    step: int = load_checkpoint(run, name)["global_step"]
    return step


@pytest.mark.parametrize("is_damaged", [False, True])
def test_earlier_checkpoint_becomes_the_last(
    script: Script, tmp_path: Path, tiny_idx: Path, is_damaged: bool
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", EVERY_STEP]
    assert script("train.py", *settings, *stop_after("steps=9")).returncode == KILLED
    last = tmp_path / "run/checkpoints/last.ckpt"
    if is_damaged:
        last.write_bytes(b"damaged")
    # Killed before it saves a checkpoint
    again = [*settings, "resume=run/checkpoints/previous.ckpt", *stop_after("steps=8")]
    assert script("train.py", *again).returncode == KILLED
    assert step_of(tmp_path / "run") == step_of(tmp_path / "run", "previous") == 8
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert max(int(row["step"]) for row in rows) < 8
    if not is_damaged:  # any other checkpoint leaves the former last.ckpt as previous.ckpt
        shutil.copy(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "run/checkpoints/mine.ckpt")
        assert script("train.py", *settings, "resume=run", *stop_after("steps=10")).returncode == KILLED
        ahead = step_of(tmp_path / "run")
        again = [*settings, "resume=run/checkpoints/mine.ckpt", *stop_after("steps=8")]
        assert script("train.py", *again).returncode == KILLED
        assert step_of(tmp_path / "run") == 8
        assert step_of(tmp_path / "run", "previous") == ahead > 8


def test_best_checkpoint_from_a_later_step_is_discarded(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    folder = tmp_path / "run/checkpoints"
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run"]
    assert script("train.py", *settings, "trainer.max_epochs=1").returncode == 0
    early = load_checkpoint(tmp_path / "run")
    early["callbacks"]["BestCheckpoint"]["score"] = 2.0  # no later epoch reaches it
    assert script("train.py", *settings, "resume=run").returncode == 0
    torch.save(early, folder / "early.ckpt")
    shutil.copy(folder / "last.ckpt", folder / "best.ckpt")
    for where in ("another", "run"):  # best.ckpt is copied to another folder
        back = ["resume=run/checkpoints/early.ckpt", "seed=7", f"output_dir={where}"]
        assert script("train.py", *settings, *back).returncode == 0
        assert load_checkpoint(tmp_path / where, "best")["ImageDataModule"]["seed"] == 7
    (folder / "best.ckpt").write_bytes(b"damaged")
    done = script("train.py", *settings, "resume=run", "trainer.max_epochs=3")
    assert done.returncode == 0
    assert "the search for the best checkpoint starts over" in done.stdout
    assert load_checkpoint(tmp_path / "run", "best")["epoch"] == 2


def test_resumed_copy_keeps_its_best_checkpoint(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "copy")
    best = (tiny_run / "checkpoints/best.ckpt").read_bytes()
    state = load_checkpoint(tmp_path / "copy")
    state["callbacks"]["BestCheckpoint"]["score"] = 2.0
    torch.save(state, tmp_path / "copy/checkpoints/last.ckpt")
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=3", "resume=copy"]
    for folder in ("another", "copy"):
        done = script("train.py", *settings, f"output_dir={folder}")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / folder / "checkpoints/best.ckpt").read_bytes() == best
