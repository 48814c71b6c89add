"""Free memory of a device, within the limit of the container."""

from collections.abc import Iterator
from pathlib import Path

import torch

from mobilenet_lab.runtime.machine import proc_field

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def free_memory(device: torch.device) -> float:
    """Return the available bytes; infinity if the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return float("inf")
    available = proc_field("meminfo", "MemAvailable")
    machine = float(available.split()[0]) * 1024 if available else float("inf")
    return min([machine, *_free_in_cgroups()])


def _free_in_cgroups() -> Iterator[float]:
    """Yield what the limits of this process's control groups leave, of versions 1 and 2.

    Files in the cache count as used, but are given up when memory is short.
    """
    for folder in _own_cgroups():
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = (_number(folder / name) for name in (limit_name, used_name))
            if limit is not None and used is not None:
                yield max(0.0, limit - used + _cached_files(folder / "memory.stat"))


def _own_cgroups() -> Iterator[Path]:
    """Yield the folders of the memory controller; a container sees its own group as the root."""
    lines = MEMBERSHIP.read_text().splitlines() if MEMBERSHIP.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = CGROUPS / controllers
        group = root / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _cached_files(path: Path) -> float:
    if not path.is_file():
        return 0.0
    pairs = (line.split() for line in path.read_text().splitlines())
    values = {name: float(value) for name, value in pairs}
    # The files of version 1 have the sums over all groups below it under names of their own.
    prefix = "total_" if "total_inactive_file" in values else ""
    return sum(values.get(f"{prefix}{name}", 0.0) for name in ("active_file", "inactive_file"))


def _number(path: Path) -> float | None:
    """Return the number in a file; None if there is no file, or no limit in it."""
    text = path.read_text().strip() if path.is_file() else "max"
    return None if text == "max" else float(text)
