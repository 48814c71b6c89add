"""Provenance of a result: hardware, package versions, commit and date."""

import time
from collections.abc import Sequence
from typing import Any

import torch

from mobilenet_lab.runtime.machine import available_cores, commit, package_version, processor

PACKAGES = ("torch", "lightning")


def describe_hardware(num_threads: int | None, uses_gpu: bool) -> str:
    """Return the name of the GPU, or the name of the processor with its cores.

    Args:
        num_threads: CPU threads that are used; None for all cores.
        uses_gpu: Whether the GPU does the work.
    """
    if uses_gpu:
        return torch.cuda.get_device_name()
    cores = available_cores()
    return f"{processor()}, {num_threads or cores} of {cores} cores"


def describe_environment(
    num_threads: int | None, uses_gpu: bool | None = None, packages: Sequence[str] = PACKAGES
) -> dict[str, Any]:
    """Return hardware, package versions, commit and date.

    Args:
        num_threads: CPU threads that are used; None for all cores.
        uses_gpu: Whether the GPU does the work; None if it does where there is one.
        packages: Names of the packages; those that are not installed are left out.
    """
    if uses_gpu is None:
        uses_gpu = torch.cuda.is_available()
    versions = {name: package_version(name) for name in packages}
    return {
        "hardware": describe_hardware(num_threads, uses_gpu),
        "versions": {name: version for name, version in versions.items() if version is not None},
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
    }
