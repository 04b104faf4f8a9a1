"""Lines that a run prints once, whatever the number of its processes."""

import functools


def say(text: str) -> None:
    """Print a line on the first process; nothing in quiet mode."""
    from pytorch_lightning.utilities import rank_zero_info  # only a run with Lightning has several processes

    rank_zero_info(text)


@functools.cache
def say_once(text: str) -> None:
    """Print a line on the first process, unless it was printed before."""
    say(text)
