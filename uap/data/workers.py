"""What the processes that read images have to bear."""

import signal

GRACE = 300
"""Seconds for which a worker goes on after it was told to end: the run takes its last step meanwhile, and saves."""


def outlive_signals(worker: int) -> None:
    """Let a worker outlive the signals that end a run, which a terminal or SLURM sends to every process of it.

    A run whose workers are gone can neither end its step nor save it. It ends its workers itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.setitimer(signal.ITIMER_REAL, GRACE))
