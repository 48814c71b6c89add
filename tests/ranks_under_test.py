"""Start runs of several ranks as users do: on this machine's CPU, over gloo."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT, TINY_RUN

TWO_RANKS = (
    "trainer=ddp_cpu",
    "trainer.devices=2",
    "num_threads=1",
    "data.batch_size=8",
    "augmentation=none",
)

DOUBLE = "+callbacks.double._target_=rank_callbacks.DoublePrecision"


@contextlib.contextmanager
def started(command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process; if the test fails, kill it and its descendants."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    with (cwd / f"stderr{len(list(cwd.glob('stderr*')))}.txt").open("w") as stderr:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=stderr
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            for pid in (*descendants(process.pid), process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()


def command_of(launcher: str, *settings: str) -> list[str]:
    start = {
        "lightning": [],
        "torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    }
    return [sys.executable, *start[launcher], str(ROOT / "train.py"), *TINY_RUN, *TWO_RANKS, *settings]


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in descendants(child))]
