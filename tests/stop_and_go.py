"""Stop and resume a run repeatedly, each attempt in its own process."""

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from fork_server import ROOT, SERVER, ForkedProcess

START_S = 1.0


def stop_and_go(
    folder: Path,
    settings: Sequence[str],
    stops: int = 0,
    signals: Sequence[str] = ("KILL",),
    longest: float = 1.0,
    seed: int = 0,
) -> tuple[list[int], list[int]]:
    """Stop a run at random moments, a quarter of them while it starts, then let it end.

    Args:
        folder: The run's folder; the output goes to a log file next to it.
        settings: Overrides for train.py.
        stops: The number of stops.
        signals: Names to choose from at random: KILL, TERM, INT.
        longest: The longest training before a stop, in seconds.
        seed: The seed of the random choices.

    Returns:
        The exit code of each attempt, and the step of the last checkpoint after each stop.
    """
    chance = random.Random(seed)
    started = folder.with_suffix(".started")
    touch = ["+callbacks.touch._target_=stop_after.TouchOnTrainStart", f"+callbacks.touch.path={started}"]
    codes, steps = [], []
    while len(codes) < stops:
        started.unlink(missing_ok=True)
        process = _start(folder, [*settings, *touch])
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0, START_S))
        else:
            while not started.exists() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, longest))
        process.send_signal(signal.Signals[f"SIG{chance.choice(signals)}"])
        codes.append(process.wait())
        steps.append(_steps_saved(folder))
    codes.append(_start(folder, [*settings, *touch]).wait())
    return codes, steps


def _start(folder: Path, settings: Sequence[str]) -> ForkedProcess:
    """Start an attempt, which resumes from the last checkpoint if there is one."""
    command = [str(ROOT / "train.py"), *settings, f"output_dir={folder}", "resume=auto"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    with folder.with_suffix(".log").open("ab") as log:
        output = log.fileno()
        return SERVER.start(command, cwd=folder.parent, env=environment, stdout=output, stderr=output)


def _steps_saved(folder: Path) -> int:
    path = folder / "checkpoints/last.ckpt"
    return int(torch.load(path, weights_only=True)["global_step"]) if path.is_file() else 0
