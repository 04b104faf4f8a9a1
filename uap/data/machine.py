"""Checks of memory and cores at the start, before the system kills a run without a message."""

import os

from uap.utils.errors import InputError

MIN_BYTES_PER_PIXEL = 48
"""Smallest memory per pixel of a batch in a forward and backward pass, in bytes."""

MAX_WORKERS = 64
"""Largest number of workers on any machine; machines with many cores may start two per core. Torch has no limit."""


def usable_workers(num_workers: int) -> int:
    """Return the number of workers, limited to the number of cores that this process may use."""
    return min(num_workers, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def check_machine(size: tuple[int, int], batch_size: int, num_workers: int) -> None:
    """Check that a batch fits into memory, and that the number of workers suits the number of cores.

    Raises:
        InputError: a batch is too large, or the number of workers is too high.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = batch_size * size[0] * size[1] * MIN_BYTES_PER_PIXEL
    if needed > memory:
        raise InputError(
            f"data.batch_size is {batch_size} and data.size {size}, which takes more than {needed >> 30} GiB of "
            f"memory, but this machine has {memory >> 30} GiB. Set a smaller batch or size.",
            setting="data.batch_size",
            kind="out_of_range",
        )
    cores = os.cpu_count() or 1
    most = max(MAX_WORKERS, 2 * cores)
    if num_workers > most:
        raise InputError(
            f"data.num_workers is {num_workers}, expected {most} or less on the {cores} cores of this machine. One or "
            "two for each core are best.",
            setting="data.num_workers",
            kind="out_of_range",
        )
