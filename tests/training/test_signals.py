"""Signals to a run."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY_RUN, Script
from runs_under_test import INTERRUPTED, load, result_of, stop_after


def test_sigterm_ends_a_run_with_a_word(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "output_dir=run",
        "+callbacks.stop._target_=stop_after.StopAfter",
        "+callbacks.stop.steps=9",
        f"+callbacks.stop.signal_number={int(signal.SIGTERM)}",
    )
    assert done.returncode == 143
    said, _, command = done.stderr.partition(": ")
    assert said == "terminated at step 10 (epoch 2)"
    assert command.startswith(f"resume from its last checkpoint with python train.py {TINY_RUN[0]} ")
    assert command.endswith(" resume=run\n")
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 10
    done = script("train.py", *shlex.split(command.partition(" train.py ")[2]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "changed settings" not in done.stdout
    assert result_of(tmp_path / "run")["epochs"] == 2


def test_a_second_signal_ends_the_process_at_once(script: Script, tiny_idx: Path) -> None:
    stop = stop_after("steps=9", f"signal_number={int(signal.SIGTERM)}", "times=2")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", *stop)
    assert done.returncode == -signal.SIGTERM


@pytest.mark.run
def test_sigint_to_the_workers_too_ends_in_good_order(tmp_path: Path, tiny_idx: Path) -> None:
    """As a terminal's Ctrl-C."""
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "data.num_workers=2", "trainer.max_epochs=500"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *settings, "output_dir=run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2 of 500, step 2 "):
            break
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, errors
    assert errors.startswith("interrupted at step ")
    assert errors.endswith(" resume=run\n")
    assert errors.count("\n") == 1
    assert load(tmp_path / "run")["global_step"] > 8
