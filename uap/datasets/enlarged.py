"""A message about images that are enlarged, because enlarging adds no detail that a network could use."""

from pathlib import Path
from typing import TypeVar

from uap.datasets.sources import Source
from uap.utils.messages import say_once

T = TypeVar("T")

CHECKED_IMAGES = 20
"""Approximate number of images of a data set whose size is checked."""


def spread(things: list[T]) -> list[T]:
    """Return about `CHECKED_IMAGES` elements of a list, evenly spread."""
    return things[:: max(1, len(things) // CHECKED_IMAGES)]


def enlarged(stored: list[tuple[Path | Source, tuple[int, int]]], size: tuple[int, int]) -> str | None:
    """Return a message if images are smaller than `size`, or None.

    Args:
        stored: paths of images with their stored height and width.
        size: height and width to which they are resized.
    """
    smaller = [(path, found) for path, found in stored if found[0] < size[0] or found[1] < size[1]]
    if not smaller:
        return None
    path, found = smaller[0]
    return (
        f"Images are enlarged: data.size is {size[0]} x {size[1]}, but {path} is stored with {found[0]} x {found[1]} "
        f"pixels ({len(smaller)} of {len(stored)} checked images are smaller). Set --data.size to the stored "
        "size, unless the network needs enlarged images."
    )


def say_enlarged(stored: list[tuple[Path | Source, tuple[int, int]]], size: tuple[int, int]) -> None:
    """Print the message of `enlarged` once, if there is one; arguments as of `enlarged`."""
    sentence = enlarged(stored, size)
    if sentence:
        say_once(sentence)
