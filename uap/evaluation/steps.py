"""How far a command of many steps is: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from uap.utils.progress import is_quiet, progress, time_left

T = TypeVar("T")

LINE_EVERY = 30.0
"""Seconds between two lines, at least."""


def steps(things: Iterable[T], total: int, title: str, unit: str) -> Iterator[T]:
    """Yield `total` things one by one and show the time left; nothing is shown in the quiet mode."""
    start = shown = time.monotonic()
    has_lines = not sys.stderr.isatty() and not is_quiet()
    for done, thing in enumerate(progress(things, title, unit, total), start=1):
        yield thing
        now = time.monotonic()
        if has_lines and done < total and now - shown >= LINE_EVERY:
            shown = now
            left = (now - start) / done * (total - done)
            print(f"{title}: {unit} {done} of {total}, {time_left(left)}", flush=True)
