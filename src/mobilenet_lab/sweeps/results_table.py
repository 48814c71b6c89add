"""One table over the runs of a sweep."""

import csv
import json
from pathlib import Path

from omegaconf import OmegaConf

from mobilenet_lab.config.fingerprint import flat_settings

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
    """Write `results.csv` over all finished jobs: what differs between their configurations, and results.

    Args:
        folder: The sweep's, with one numbered folder a job.

    Returns:
        The table's path.
    """
    jobs = sorted(
        (path.parent for path in folder.glob("*/result.json")),
        key=lambda job: (len(job.name), job.name),
    )
    settings = [flat_settings(OmegaConf.load(job / "config.yaml")) for job in jobs]
    keys = sorted(set().union(*settings))
    varied = [
        key
        for key in keys
        if not key.endswith(("_partial_", "_convert_"))
        and len({str(setting.get(key)) for setting in settings}) > 1
    ]
    table = folder / "results.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["job", *varied, *RESULTS])
        for job, setting in zip(jobs, settings, strict=True):
            result = json.loads((job / "result.json").read_text())
            writer.writerow(
                [job.name, *(setting.get(key) for key in varied), *(result[key] for key in RESULTS)]
            )
    return table
