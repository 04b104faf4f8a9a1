"""Progress of a command with many steps: a bar on a terminal, occasional lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from uap.utils.progress import is_quiet, progress, time_left

T = TypeVar("T")

LINE_EVERY = 30.0
"""Smallest number of seconds between two lines."""


def steps(things: Iterable[T], total: int, title: str, unit: str) -> Iterator[T]:
    """Yield the elements of an iterable and show the remaining time, except in quiet mode.

    Args:
        things: the elements.
        total: number of elements.
        title: title of the bar and the lines.
        unit: singular noun for an element.
    """
    start = shown = time.monotonic()
    has_lines = not sys.stderr.isatty() and not is_quiet()
    for done, thing in enumerate(progress(things, title, unit, total), start=1):
        yield thing
        now = time.monotonic()
        if has_lines and done < total and now - shown >= LINE_EVERY:
            shown = now
            left = (now - start) / done * (total - done)
            print(f"{title}: {unit} {done} of {total}, {time_left(left)}", flush=True)
