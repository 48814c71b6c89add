"""On what something was measured: processor, versions, commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mobilenet_lab.procfs import proc_field

ROOT = Path(__file__).resolve().parents[2]


def processor() -> str:
    """The processor's name."""
    return proc_field("cpuinfo", "model name") or platform.processor() or platform.machine()


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def package_version(package: str) -> str | None:
    """The installed version; None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """This project's commit, "-dirty" where files differ from it; "unknown" without git."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
