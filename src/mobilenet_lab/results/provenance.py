"""Provenance of a run: recipe fingerprint, hardware, versions, commit and date, in `provenance.json`."""

import json
import time
from typing import Any

import torch

from mobilenet_lab.results.recipes import Run, fingerprint
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.machine import available_cores, commit, package_version, processor

PACKAGES = ("torch", "lightning")


def write_provenance(run: Run, num_threads: int | None) -> None:
    """Record in a run's folder how it is started."""
    provenance = {"fingerprint": fingerprint(run.recipe), **describe_environment(num_threads)}
    write_json(run.folder.provenance, provenance)


def read_provenance(run: Run) -> dict[str, Any]:
    """Return the provenance in a run's folder, or an empty dict if it has none."""
    path = run.folder.provenance
    provenance: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return provenance


def describe_environment(num_threads: int | None) -> dict[str, Any]:
    """Return hardware, package versions, commit and date.

    Args:
        num_threads: CPU threads that are used; None for all cores.
    """
    cores = available_cores()
    cpu = f"{processor()}, {num_threads or cores} of {cores} cores"
    return {
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu,
        "versions": {name: package_version(name) for name in PACKAGES},
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
    }
