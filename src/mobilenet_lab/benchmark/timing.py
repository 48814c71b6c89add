"""Throughput and memory measurements."""

import contextlib
import sys
import time
from collections.abc import Callable

from mobilenet_lab.benchmark.settings import Figures
from mobilenet_lab.runtime.machine import proc_field


def time_second_run(run: Callable[[], None], images: int) -> Figures:
    """Time the second of two runs; the first fills the page cache and selects kernels."""
    run()
    began = time.perf_counter()
    run()
    return throughput(images, time.perf_counter() - began)


def throughput(images: int, seconds: float) -> Figures:
    """Return images per second and this process's peak memory."""
    return with_peak_memory({"images_per_second": images / seconds})


def with_peak_memory(figures: Figures, of_children: bool = False) -> Figures:
    """Add the peak resident memory in MB, where the system reports it.

    Args:
        figures: Figures to add to.
        of_children: Measure the largest finished child process instead of this process.
    """
    with contextlib.suppress(ImportError):  # Windows has no such module
        import resource

        who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
        figures = figures | {"peak_memory_mb": resource.getrusage(who).ru_maxrss * unit / 1e6}
    return figures


def anonymous_memory_mb() -> float:
    """Return this process's memory without mapped files in MB, or NaN if the system does not report it."""
    anonymous = proc_field("self/status", "RssAnon")
    return float(anonymous.split()[0]) * 1024 / 1e6 if anonymous else float("nan")
