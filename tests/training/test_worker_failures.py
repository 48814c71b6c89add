"""Worker processes that die, and machines that give them too little."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY_RUN, Script
from runs_under_test import BUSY, assert_same_run, load_checkpoint, stop_after


def test_dead_worker_ends_the_run_with_a_checkpoint_that_resumes_exactly(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, *BUSY, f"data.root={tiny_idx}", "data.num_workers=1", "data.batch_size=8")
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    kill = [argument.replace("StopAfter", "KillWorkerAfter") for argument in stop_after("steps=15")]
    done = script("train.py", *settings, *kill, "output_dir=run")
    assert done.returncode == 2
    start = "error: data.num_workers=1: worker 0 was killed by SIGKILL, perhaps because memory ran out; use "
    assert done.stderr.startswith(start)
    assert "; resume from its last checkpoint with python train.py " in done.stderr
    assert done.stderr.endswith(" resume=run\n")
    assert done.stderr.count("\n") == 1
    assert load_checkpoint(tmp_path / "run")["global_step"] in (15, 16, 17)
    done = script("train.py", *settings, "resume=run", "output_dir=run")
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_too_few_open_files_for_workers_end_the_run_in_one_line(script: Script, tiny_idx: Path) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "data.num_workers=8", "output_dir=run")
    done = script("train.py", *settings, limits={resource.RLIMIT_NOFILE: 32}, timeout=60)
    assert done.returncode == 2
    assert "too many open files" in done.stderr.lower()
    assert done.stderr.count("\n") == 1


@pytest.mark.run
def test_workers_need_no_space_in_dev_shm(tmp_path: Path, tiny_idx: Path) -> None:
    inside = "mount -t tmpfs -o size=4k tmpfs /dev/shm && exec "
    enter = ["unshare", "--mount", "bash", "-c", f'{inside}"$@"', "-"]
    try:
        subprocess.run([*enter, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "data.num_workers=2", "trainer.max_epochs=1")
    command = [*enter, sys.executable, str(ROOT / "train.py"), *settings, "output_dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
