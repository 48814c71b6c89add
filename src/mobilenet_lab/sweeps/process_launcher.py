"""What the scripts share: paths without quoting, errors as one line, sweeps as processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from mobilenet_lab.config.override_quoting import quote_paths
from mobilenet_lab.runtime.environment import SIGNALS_FORWARDED
from mobilenet_lab.runtime.errors import InputError

FAILED_JOBS: list[str] = []
# How a job hears of a signal to its sweep; it has no use for a terminal's end
FORWARDED_AS: dict[int, int] = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
}


def run_as_sweep_job(script: Path) -> bool:
    """In a sweep, run this job as a process of its own and wait for it.

    Each job then starts from a clean process, and the ranks that it may start see its arguments alone.

    A job that fails does not keep the others from running; `run` reports it at the end.

    Returns:
        False outside a sweep, where the caller has to do the work.

    Raises:
        InputError: `output_dir` is set, which the sweep does itself.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return False
    folder = Path(hydra.sweep.dir) / hydra.sweep.subdir
    overrides = list(hydra.overrides.task)
    if any(override.startswith("output_dir=") for override in overrides):
        raise InputError("output_dir: a sweep numbers its runs' folders; choose hydra.sweep.dir=... instead")
    print(f"\njob {hydra.job.num}: {' '.join(overrides)}", flush=True)
    command = [sys.executable, str(script), *overrides, *quote_paths([f"output_dir={folder}"])]
    if code := run_forwarding_signals(command):
        FAILED_JOBS.append(f"{hydra.job.num} (exit code {code})")
        return True
    from mobilenet_lab.sweeps.results_table import write_table

    print(f"table     {write_table(Path(hydra.sweep.dir))}", flush=True)
    return True


def run_forwarding_signals(command: Sequence[str]) -> int:
    """Run a process that hears of every signal to this one, and has the time to end as it wants.

    Returns:
        Its exit code.
    """
    received: list[int] = []
    early: list[int] = []  # before there is a process to hand them to
    process: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if process is None:
            early.append(number)
        else:
            process.send_signal(FORWARDED_AS[number])

    earlier = {
        number: signal.signal(number, hand_on)
        for number in FORWARDED_AS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        # A terminal's Ctrl-C would reach it, too, and a second signal ends it without a checkpoint.
        process = subprocess.Popen(command, start_new_session=True, env=os.environ | {SIGNALS_FORWARDED: "1"})
        for number in early:
            process.send_signal(FORWARDED_AS[number])
        code = process.wait()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    if received:
        raise SystemExit(128 + received[0])
    return code
