"""The machine and the installed software: processor, cores, versions, commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def proc_field(file: str, field: str) -> str | None:
    """Return a field of a file in /proc, such as ("meminfo", "MemAvailable").

    Returns:
        None if the system has no such file or field.
    """
    path = Path("/proc") / file
    if path.is_file():
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return None


def is_stopped(pid: int) -> bool:
    """Return whether a process has been stopped, as by SIGSTOP; False if the system does not say."""
    state = proc_field(f"{pid}/status", "State")
    return state is not None and state.startswith("T")


def processor() -> str:
    """Return the name of the processor."""
    return proc_field("cpuinfo", "model name") or platform.processor() or platform.machine()


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def package_version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """Return the commit of this project, with "-dirty" if files differ from it; "unknown" without git."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
