"""Signals that end a run."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY_RUN, Script
from runs_under_test import INTERRUPTED, TERMINATED, load_checkpoint, result_of, stop_after


def test_sigterm_saves_a_checkpoint_and_prints_the_resume_command(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "output_dir=run",
        *stop_after("steps=9", f"signal_number={int(signal.SIGTERM)}"),
    )
    assert done.returncode == TERMINATED
    message, _, command = done.stderr.partition(": ")
    assert message == "terminated at step 10 (epoch 2)"
    assert command.startswith(f"resume from its last checkpoint with python train.py {TINY_RUN[0]} ")
    assert command.endswith(" resume=run\n")
    assert load_checkpoint(tmp_path / "run")["global_step"] == 10
    done = script("train.py", *shlex.split(command.partition(" train.py ")[2]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "changed settings" not in done.stdout
    assert result_of(tmp_path / "run")["epochs"] == 2


@pytest.mark.parametrize(
    ("callback", "where"),
    [("SignalAtSanityCheck", "outside of a training step"), ("SignalAtTestStart", "in the test")],
)
def test_sigterm_outside_of_training_ends_the_run_at_once(
    script: Script, tiny_idx: Path, callback: str, where: str
) -> None:
    signaling = [f"+callbacks.stop._target_=stop_after.{callback}", "trainer.num_sanity_val_steps=1"]
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=1", "output_dir=run", *signaling)
    done = script("train.py", *settings)
    assert done.returncode == TERMINATED
    assert done.stderr.startswith(f"terminated {where}: ")
    assert done.stderr.count("\n") == 1


def test_second_signal_ends_the_process_at_once(script: Script, tiny_idx: Path) -> None:
    stop = stop_after("steps=9", f"signal_number={int(signal.SIGTERM)}", "times=2")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", *stop)
    assert done.returncode == -signal.SIGTERM


@pytest.mark.run
def test_sigint_to_a_run_and_its_workers_saves_a_checkpoint(tmp_path: Path, tiny_idx: Path) -> None:
    """Ctrl-C in a terminal reaches the worker processes as well."""
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
        if line.startswith("epoch 2/500, step 2 "):
            break
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, errors
    assert errors.startswith("interrupted at step ")
    assert errors.endswith(" resume=run\n")
    assert errors.count("\n") == 1
    assert load_checkpoint(tmp_path / "run")["global_step"] > 8
