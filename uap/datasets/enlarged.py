"""Whether stored images are smaller than what they are resized to, which adds no detail that a network could see."""

from pathlib import Path
from typing import TypeVar

from uap.datasets.sources import Source
from uap.utils.messages import say_once

T = TypeVar("T")

LOOKED_AT = 20
"""About so many images of a set are looked at."""


def spread(things: list[T]) -> list[T]:
    """Return about `LOOKED_AT` of some things, evenly spread."""
    return things[:: max(1, len(things) // LOOKED_AT)]


def enlarged(stored: list[tuple[Path | Source, tuple[int, int]]], size: tuple[int, int]) -> str | None:
    """Return a sentence if images are smaller than `size`, None if not.

    Args:
        stored: images, and the height and width that they are stored with.
        size: height and width that they are resized to.
    """
    smaller = [(place, found) for place, found in stored if found[0] < size[0] or found[1] < size[1]]
    if not smaller:
        return None
    place, found = smaller[0]
    return (
        f"Images are enlarged: data.size is {size[0]} x {size[1]}, but {place} is stored with {found[0]} x {found[1]} "
        f"pixels ({len(smaller)} of {len(stored)} images that were looked at are smaller). Set --data.size to what is "
        "stored, unless the network is meant to see them enlarged."
    )


def say_enlarged(stored: list[tuple[Path | Source, tuple[int, int]]], size: tuple[int, int]) -> None:
    """Print once that images are smaller than `size`, if they are; arguments as of `enlarged`."""
    sentence = enlarged(stored, size)
    if sentence:
        say_once(sentence)
