"""How freed memory is kept for the next step, and given back by processes that take none."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt` (malloc.h)."""


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of giving it back to the system.

    Every step allocates and frees the same tensors of many MiB. By default each is mapped and unmapped anew, and the
    system clears its pages each time: a fifth of a step's time on the CPU. Does nothing where there is no glibc.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
        libc.mallopt(M_TOP_PAD, 64 * 2**20)


def give_back_freed_memory() -> None:
    """Give freed memory back to the system, where there is glibc.

    A worker is a copy of the run's process. What that had freed by then, some 100 MiB of a step, the worker would hold
    for as long as it lives, from the moment on at which the next step writes there.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
