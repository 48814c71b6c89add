"""The debug configs and gradient clipping."""

from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from runs_under_test import load_checkpoint, result_of


@pytest.mark.parametrize("debug", ["smoke", "overfit", "profiler"])
def test_debug_config_runs(fresh_script: Script, tmp_path: Path, tiny_idx: Path, debug: str) -> None:
    data = ("data=idx", f"data.root={tiny_idx}", "data.batch_size=16")
    done = fresh_script("train.py", f"debug={debug}", *data, "output_dir=run")
    assert done.returncode == 0, done.stderr
    if debug == "overfit":
        assert result_of(tmp_path / "run")["train/accuracy"] == 1
    if debug == "profiler":
        assert "run_training_epoch" in done.stdout


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_to_the_given_norm(
    script: Script, tmp_path: Path, tiny_idx: Path, precision: str
) -> None:
    one_step = (
        "trainer.max_steps=1",
        "scheduler=none",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
        "data.val_split=0",
    )
    for name, settings in [("start", ["optimizer.lr=1e-12"]), ("clip", ["optimizer.lr=1.0"])]:
        done = script(
            "train.py",
            *TINY_RUN,
            *one_step,
            *settings,
            "trainer.gradient_clip_val=0.001",
            f"trainer.precision={precision}",
            f"data.root={tiny_idx}",
            f"output_dir={name}",
        )
        assert done.returncode == 0, done.stderr
    start, clipped = (load_checkpoint(tmp_path / name)["state_dict"] for name in ("start", "clip"))
    changes = [
        clipped[key] - start[key] for key in start if "running" not in key and "num_batches" not in key
    ]
    length = torch.cat([change.flatten() for change in changes]).norm()
    assert length.item() == pytest.approx(0.001, rel=1e-3)
