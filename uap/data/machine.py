"""What a machine can bear: said at the start, before the system ends a run without a word."""

import os

from uap.utils.errors import InputError

LEAST_BYTES_PER_PIXEL = 48
"""Of memory that each pixel of a batch takes at least, once a network is run forward and backward."""

BEARABLE_WORKERS = 64
"""So many are bearable on any machine, on large ones two for each core; torch starts whatever number it is given."""


def usable_workers(num_workers: int) -> int:
    """Return the number of workers, or of the cores that this process may use where these are fewer."""
    return min(num_workers, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def check_machine(size: tuple[int, int], batch_size: int, num_workers: int) -> None:
    """Check that batches fit into the memory, and workers onto the cores.

    Raises:
        InputError: they cannot.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = batch_size * size[0] * size[1] * LEAST_BYTES_PER_PIXEL
    if needed > memory:
        raise InputError(
            f"data.batch_size is {batch_size} and data.size {size}, which takes more than {needed >> 30} GiB of "
            f"memory, where this machine has {memory >> 30}. Set a smaller batch or size."
        )
    cores = os.cpu_count() or 1
    most = max(BEARABLE_WORKERS, 2 * cores)
    if num_workers > most:
        raise InputError(
            f"data.num_workers is {num_workers}, expected {most} or less on the {cores} cores of this machine. One or "
            "two for each core are best."
        )
