"""Keep glibc from returning the memory of a training step to the kernel.

By default, glibc maps large tensors one by one and unmaps them when they are freed, so the kernel clears the
same pages in every step. Keeping the memory pays off for large tensors: see docs/performance.md.
"""

import ctypes
import sys

# From glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8

ONE_GIB = 1 << 30
MAX_INT = (1 << 31) - 1


def configure_malloc() -> bool:
    """Configure glibc's allocator. Call it before the first large tensor is allocated.

    Returns:
        False if the C library is not glibc, or if it refuses a value.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    settings = [(M_MMAP_THRESHOLD, ONE_GIB), (M_TRIM_THRESHOLD, MAX_INT), (M_ARENA_MAX, 1)]
    return all(libc.mallopt(parameter, value) for parameter, value in settings)
