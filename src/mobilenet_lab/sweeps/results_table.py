"""A table of the runs of a sweep."""

import csv
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
        folder: The folder of the sweep, with one numbered run folder per job.

    Returns:
        Path of the table.
    """
    finished = [
        (run, result) for job in folder.iterdir() if (result := (run := RunFolder(job)).read_result())
    ]
    jobs = sorted(finished, key=lambda job: (len(job[0].path.name), job[0].path.name))
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
            row = [run.path.name, *(setting.get(key) for key in varied), *(result[key] for key in RESULTS)]
            writer.writerow(row)
    return table
