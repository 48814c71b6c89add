"""A table of the runs of a sweep."""

import csv
import re
from pathlib import Path

from omegaconf import OmegaConf

from mobilenet_lab.config.fingerprint import flat_settings
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


def write_table(folder: Path) -> Path:
    """Write `results.csv`: for every finished job, the settings that vary between jobs and the results.

    Args:
        folder: The folder of the sweep, with one run folder per job somewhere below it.

    Returns:
        Path of the table.
    """
    runs = [RunFolder(path.parent) for path in folder.rglob(RunFolder(folder).result.name)]
    runs.sort(key=lambda run: _natural(_name(run, folder)))
    jobs = [(run, result) for run in runs if (result := run.read_result())]
    settings = [flat_settings(OmegaConf.load(run.config)) for run, _ in jobs]
    varied = [
        key
        for key in sorted(set().union(*settings))
        if not key.endswith(("_partial_", "_convert_"))
        and len({str(setting.get(key)) for setting in settings}) > 1
    ]
    table = folder / "results.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["job", *varied, *RESULTS])
        for (run, result), setting in zip(jobs, settings, strict=True):
            row = [
                _name(run, folder),
                *(setting.get(key) for key in varied),
                *(result[key] for key in RESULTS),
            ]
            writer.writerow(row)
    return table


def _name(run: RunFolder, folder: Path) -> str:
    """Return the path of a run folder within the folder of the sweep."""
    return run.path.relative_to(folder).as_posix()


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names with numbers by the numbers."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
