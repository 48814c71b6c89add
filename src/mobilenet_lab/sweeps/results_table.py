"""A table of the runs of a sweep."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from mobilenet_lab.config.fingerprint import flat_settings
from mobilenet_lab.reports.sweep_record import FinishedJob
from mobilenet_lab.runs.folder import RunFolder

RESULTS = (
    "train/accuracy",
    "val/accuracy",
    "test/accuracy",
    "epochs",
    "images_per_second",
    "parameters",
    "macs",
)


def finished_jobs(folder: Path) -> list[FinishedJob]:
    """Return the finished jobs of a sweep in natural order.

    Args:
        folder: The folder of the sweep, with one run folder per job somewhere below it.
    """
    results = folder.rglob(RunFolder(folder).result.name)
    # The links behind outputs/latest show a run a second time.
    runs = [RunFolder(path.parent) for path in results if not path.is_symlink()]
    runs.sort(key=lambda run: natural(job_name(run, folder)))
    return [
        FinishedJob(job_name(run, folder), flat_settings(OmegaConf.load(run.config)), result)
        for run in runs
        if (result := run.read_result())
    ]


def varied_settings(jobs: Sequence[FinishedJob]) -> list[str]:
    """Return the keys of the settings that differ between jobs."""
    return [
        key
        for key in sorted(set().union(*(job.settings for job in jobs)))
        if not key.endswith(("_partial_", "_convert_"))
        and len({str(job.settings.get(key)) for job in jobs}) > 1
    ]


def write_table(folder: Path, jobs: Sequence[FinishedJob]) -> Path:
    """Write `results.csv`: for every finished job, the settings that differ between jobs and the results.

    Returns:
        Path of the table.
    """
    varied = varied_settings(jobs)
    table = folder / "results.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["job", *varied, *RESULTS])
        for job in jobs:
            settings = (job.settings.get(key) for key in varied)
            writer.writerow([job.name, *settings, *(job.result[key] for key in RESULTS)])
    return table


def job_name(run: RunFolder, folder: Path) -> str:
    """Return the path of a run folder within the folder of the sweep."""
    return run.path.relative_to(folder).as_posix()


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names with numbers by the numbers."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
