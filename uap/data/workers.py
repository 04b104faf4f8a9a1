"""What the processes that read images have to bear."""

import signal

from uap.utils.memory import give_back_freed_memory

GRACE = 300
"""Seconds for which a worker goes on after it was told to end: the run takes its last step meanwhile, and saves."""


def start_worker(worker: int) -> None:
    """Let a worker take little memory, and outlive the signals that end a run.

    A terminal or SLURM sends them to every process of a run, and one whose workers are gone can neither end its step
    nor save it. It ends its workers itself.
    """
    give_back_freed_memory()
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.setitimer(signal.ITIMER_REAL, GRACE))
