"""Keep glibc from returning a step's memory to the kernel, only to fetch it again in the next step.

By default a tensor above glibc's threshold, which adapts up to 32 MiB, is mapped and unmapped anew, and the
kernel clears each page again. It pays where tensors are large: see docs/performance.md.
"""

import ctypes
import sys

# From glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
ONE_GIB = 1 << 30
LARGEST_INT = (1 << 31) - 1


def configure_malloc() -> bool:
    """Set it up; call it before the first large tensor.

    Returns:
        Whether it took effect: False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    settings = [(M_MMAP_THRESHOLD, ONE_GIB), (M_TRIM_THRESHOLD, LARGEST_INT), (M_ARENA_MAX, 1)]
    return all(libc.mallopt(parameter, value) for parameter, value in settings)
