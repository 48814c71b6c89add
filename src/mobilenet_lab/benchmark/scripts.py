"""The project's scripts, run as processes."""

import subprocess
import sys
import time
from pathlib import Path

from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.runtime.machine import ROOT


def train_overrides(settings: Settings, *overrides: str) -> list[str]:
    """Return the arguments of train.py for one epoch in the folder `run`, without validation and test."""
    return [
        f"data.root={settings.data.resolve()}",
        f"data.image_size={settings.image_size}",
        f"data.channels={settings.channels}",
        f"data.batch_size={settings.batch_size}",
        f"model.filters={settings.filters}",
        "model.stem_stride=2",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=1",
        "trainer.limit_val_batches=0",
        "trainer.limit_test_batches=0",
        "output_dir=run",
        *overrides,
    ]


def run_script(script: str, *arguments: str, cwd: str | Path, expected: int = 0) -> None:
    """Run one of the project's scripts, or `-c` with code, and wait for it.

    Raises:
        SystemExit: The exit code differs from the expected one.
    """
    program = script if script.startswith("-") else str(ROOT / script)
    done = subprocess.run(
        [sys.executable, program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode != expected:
        raise SystemExit(f"{script}: exit code {done.returncode} instead of {expected}:\n{done.stderr}")


def time_script(settings: Settings, script: str, *arguments: str, expected: int = 0) -> Figures:
    """Time a script in the workspace from process start to exit."""
    began = time.perf_counter()
    run_script(script, *arguments, cwd=settings.work, expected=expected)
    return {"seconds": time.perf_counter() - began}
