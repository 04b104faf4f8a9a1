"""Control over freed memory: kept for the next step, or returned to the operating system (glibc only)."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt` (malloc.h)."""


def keep_freed_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the operating system.

    Every step allocates and frees the same large tensors. By default, glibc maps and unmaps each of them, and the
    system clears the pages each time, which takes a fifth of the time of a step on the CPU. Without glibc, this does
    nothing.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
        libc.mallopt(M_TOP_PAD, 64 * 2**20)


def give_back_freed_memory() -> None:
    """Return freed memory to the operating system. Without glibc, this does nothing.

    A data worker is a fork of the process of the run. Once the next step writes to the freed memory of that process,
    about 100 MiB, the worker would keep its own copy until it ends.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
