"""The setup of worker processes that read images."""

import signal

from uap.utils.memory import give_back_freed_memory

GRACE = 300
"""Seconds that a worker continues after SIGTERM, so that the run can finish its last step and save a checkpoint."""


def start_worker(worker: int) -> None:
    """Make a worker return freed memory to the system and ignore the signals that end a run.

    A terminal or SLURM sends these signals to every process of a run. Without its workers, a run could not finish its
    step and save a checkpoint. The run ends its workers itself.
    """
    give_back_freed_memory()
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.setitimer(signal.ITIMER_REAL, GRACE))
