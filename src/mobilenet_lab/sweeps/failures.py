"""Failed jobs of a sweep, as files in their folders."""

import json
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mobilenet_lab.reports.sweep_record import FailedJob
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.sweeps.results_table import job_name, natural


def record_failure(run: RunFolder, overrides: Sequence[str], error: str) -> None:
    """Record why a job failed, unless its folder cannot be written.

    Args:
        run: The folder of the job.
        overrides: The overrides that make up the job.
        error: One line.
    """
    with suppress(OSError):
        write_json(run.job_failure, {"overrides": list(overrides), "error": error})


def describe_exit(code: int) -> str:
    """Return in words how a job ended that has left no error."""
    if code < 0:
        return f"ended by signal {-code} ({signal.strsignal(-code)})"
    return f"exit code {code}; the output of the sweep says why"


def failed_jobs(folder: Path, command: Sequence[str]) -> list[FailedJob]:
    """Return the failed jobs of a sweep in natural order.

    Args:
        folder: The folder of the sweep.
        command: The overrides of the sweep, which all jobs share unless they have several values.
    """
    shared = {override.lower() for override in command}  # Hydra spells true as True
    jobs = []
    for path in folder.rglob(RunFolder(Path()).job_failure.as_posix()):
        failure = json.loads(path.read_text())
        overrides = [override for override in failure["overrides"] if override.lower() not in shared]
        name = job_name(RunFolder(path.parent.parent), folder)
        jobs.append(FailedJob(name, overrides, failure["error"]))
    return sorted(jobs, key=lambda job: natural(job.name))
