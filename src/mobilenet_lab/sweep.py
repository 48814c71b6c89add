"""One table over the runs of a sweep."""

import csv
import json
from pathlib import Path

from omegaconf import OmegaConf

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
    settings = [flat_settings(OmegaConf.to_container(OmegaConf.load(job / "config.yaml"))) for job in jobs]
    keys = sorted(set().union(*settings))
    varied = [
        key
        for key in keys
        if not key.endswith(("_partial_", "_convert_"))
        and len({str(setting.get(key)) for setting in settings}) > 1
        and key != "output_dir"
        if not any(str(job) in str(setting.get(key)) for job, setting in zip(jobs, settings, strict=True))
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


def flat_settings(values: object, prefix: str = "") -> dict[str, object]:
    """Nested settings by their dotted keys."""
    if not isinstance(values, dict):
        return {prefix.removesuffix("."): values}
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= flat_settings(value, f"{prefix}{key}.")
    return flat
