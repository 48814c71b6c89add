"""Runs of train.py for the results page: started, resumed, and several at once."""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from mobilenet_lab.checkpoints.load import load_with_fallback
from mobilenet_lab.results.provenance import read_provenance, write_provenance
from mobilenet_lab.results.recipes import Run, fingerprint
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import ROOT, available_cores
from mobilenet_lab.training.folder_contents import remove_run


def is_finished(run: Run) -> bool:
    """Return whether a run has finished with the recipe's current settings."""
    return run.folder.result.is_file() and _is_current(run)


def run_all(runs: Sequence[Run], jobs: int) -> list[Run]:
    """Run what has not finished, several runs at a time with an equal share of the cores each.

    If this process ends early, it stops the runs first; each writes a checkpoint. The next call resumes them.

    Returns:
        The runs that failed.
    """
    num_threads = max(1, available_cores() // jobs) if jobs > 1 else None
    waiting = [run for run in runs if not is_finished(run)]
    running: dict[Run, subprocess.Popen[bytes]] = {}
    failed = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                running[run] = _start(run, num_threads)
            time.sleep(0.2)
            for run, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[run]
                if process.returncode:
                    failed.append(run)
                    log = run.folder.train_log
                    _report(f"{run.folder}: failed with exit code {process.returncode}; see {log}")
                else:
                    _report(f"{run.folder}: finished")
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return failed


def _start(run: Run, num_threads: int | None) -> "subprocess.Popen[bytes]":
    """Resume a run if it has a checkpoint of the recipe's current settings; else start it from scratch."""
    overrides = [*shlex.split(run.recipe.overrides), f"seed={run.seed}", f"output_dir={run.folder}"]
    if num_threads is not None:
        overrides.append(f"num_threads={num_threads}")
    if _is_current(run) and _has_checkpoint(run):
        overrides.append(f"resume={run.folder}")
        _report(f"{run.folder}: resuming")
    else:
        if run.folder.result.is_file():
            _report(f"{run.folder}: the recipe has changed since this run finished; its folder is replaced")
        remove_run(run.folder)  # other files stay, and train.py refuses the folder
        for old in (run.folder.config, run.folder.train_log):
            old.unlink(missing_ok=True)
        run.folder.path.mkdir(parents=True, exist_ok=True)
        _report(f"{run.folder}: starting")
    write_provenance(run, num_threads)
    with run.folder.train_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach the run through `run_all` only: a second signal ends it without a checkpoint.
            start_new_session=True,
        )


def _is_current(run: Run) -> bool:
    return read_provenance(run).get("fingerprint") == fingerprint(run.recipe)


def _has_checkpoint(run: Run) -> bool:
    """Return whether the run has an intact checkpoint to resume from."""
    try:
        load_with_fallback(run.folder.last)
    except InputError:
        return False
    return True


def _report(message: str) -> None:
    print(f"{time.strftime('%H:%M')} {message}", flush=True)
