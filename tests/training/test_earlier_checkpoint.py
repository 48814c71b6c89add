"""Returning to an earlier checkpoint of a run."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from runs_under_test import EVERY_STEP, KILLED, load, stop_after


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_checkpoint_that_is_gone_back_to_becomes_the_last(
    script: Script, tmp_path: Path, tiny_idx: Path, is_damaged: bool
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", EVERY_STEP]
    assert script("train.py", *settings, *stop_after("steps=9")).returncode == KILLED
    last = tmp_path / "run/checkpoints/last.ckpt"
    if is_damaged:
        last.write_bytes(b"damaged")
    # Killed before it has written any
    again = [*settings, "resume=run/checkpoints/previous.ckpt", *stop_after("steps=8")]
    assert script("train.py", *again).returncode == KILLED
    assert load(tmp_path / "run")["global_step"] == load(tmp_path / "run", "previous")["global_step"] == 8
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert max(int(row["step"]) for row in rows) < 8
    if not is_damaged:  # from any other, what was the last is still there
        shutil.copy(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "run/checkpoints/mine.ckpt")
        assert script("train.py", *settings, "resume=run", *stop_after("steps=10")).returncode == KILLED
        ahead = load(tmp_path / "run")["global_step"]
        again = [*settings, "resume=run/checkpoints/mine.ckpt", *stop_after("steps=8")]
        assert script("train.py", *again).returncode == KILLED
        assert load(tmp_path / "run")["global_step"] == 8
        assert load(tmp_path / "run", "previous")["global_step"] == ahead > 8


def test_a_best_from_after_what_is_gone_back_to_is_forgotten(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    folder = tmp_path / "run/checkpoints"
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run"]
    assert script("train.py", *settings, "trainer.max_epochs=1").returncode == 0
    early = load(tmp_path / "run")
    early["callbacks"]["BestCheckpoint"]["score"] = 2.0  # out of reach
    assert script("train.py", *settings, "resume=run").returncode == 0
    torch.save(early, folder / "early.ckpt")
    shutil.copy(folder / "last.ckpt", folder / "best.ckpt")
    for where in ("another", "run"):  # the best is copied to another folder
        back = ["resume=run/checkpoints/early.ckpt", "seed=7", f"output_dir={where}"]
        assert script("train.py", *settings, *back).returncode == 0
        assert load(tmp_path / where, "best")["ImageDataModule"]["seed"] == 7
    (folder / "best.ckpt").write_bytes(b"damaged")
    done = script("train.py", *settings, "resume=run", "trainer.max_epochs=3")
    assert done.returncode == 0
    assert "the search for the best checkpoint starts over" in done.stdout
    assert load(tmp_path / "run", "best")["epoch"] == 2


def test_a_copied_run_keeps_its_own_best(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "copy")
    best = (tiny_run / "checkpoints/best.ckpt").read_bytes()
    state = load(tmp_path / "copy")
    state["callbacks"]["BestCheckpoint"]["score"] = 2.0
    torch.save(state, tmp_path / "copy/checkpoints/last.ckpt")
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=3", "resume=copy"]
    for folder in ("another", "copy"):
        done = script("train.py", *settings, f"output_dir={folder}")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / folder / "checkpoints/best.ckpt").read_bytes() == best
