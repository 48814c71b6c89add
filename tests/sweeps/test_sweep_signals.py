"""A sweep forwards its signals to the running job and waits for it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, TINY_RUN, wait_for

from mobilenet_lab.runtime.environment import SIGNALS_FORWARDED

pytestmark = pytest.mark.run


def restore_default_handlers() -> None:
    """Undo ignored signals, which a child inherits, so that it behaves as if started in a terminal."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def sweep(tmp_path: Path, tiny_idx: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a sweep of two long jobs; return when the first has saved a checkpoint."""
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "train.py"), "-m", *TINY_RUN, f"data.root={tiny_idx}"),
            *("trainer.max_epochs=500", "seed=1,2", "hydra.sweep.dir=sweep"),
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=restore_default_handlers,
    )
    wait_for((tmp_path / "sweep/0/checkpoints/last.ckpt").is_file, 120)
    yield process
    process.kill()
    process.wait()


def test_signal_to_a_sweep_ends_its_job_with_a_checkpoint(
    tmp_path: Path, sweep: subprocess.Popen[str]
) -> None:
    os.killpg(sweep.pid, signal.SIGTERM)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 143
    assert "resume from its last checkpoint" in errors
    assert not (tmp_path / "sweep/1").exists()


def test_sweep_waits_for_its_job_after_a_second_signal(sweep: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{sweep.pid}/task/{sweep.pid}/children").read_text()
    (job,) = (int(pid) for pid in children.split())
    assert f"{SIGNALS_FORWARDED}=" in Path(f"/proc/{job}/environ").read_text()
    os.kill(job, signal.SIGSTOP)  # so that the job does not end yet
    for _ in range(2):
        os.kill(sweep.pid, signal.SIGTERM)
        time.sleep(0.5)
    assert sweep.poll() is None
    os.kill(job, signal.SIGCONT)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 143, errors
    assert not Path(f"/proc/{job}").exists()
