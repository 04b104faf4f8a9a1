"""Which images are learned from (sampled with a seed, or listed in a file), and which are scored."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uap.datasets.sources import Item, ZipMember, check_file
from uap.utils import paths
from uap.utils.errors import InputError


def sampled(count: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Return `limit` of the numbers below `count`, sampled with the seed and sorted."""
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def evenly(count: int, wanted: int | None) -> NDArray[np.int64]:
    """Return `wanted` of the numbers below `count`, evenly spread from the first to the last; all where it is None.

    What is scored, attacked or shown is chosen by this alone, so that the same number is the same images everywhere.
    Where there are not so many, all are taken.
    """
    wanted = count if wanted is None else min(wanted, count)
    return np.linspace(0, count - 1, wanted).round().astype(np.int64)


def path_below(item: Item, root: Path) -> str:
    """Return the path of an item's image below `root` or in a zip file there; a frame of a video has its name alone."""
    place = item.image
    if isinstance(place, Path):
        return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
    return place.member if isinstance(place, ZipMember) else item.name


def listed(items: list[Item], path: Path, root: Path) -> list[int]:
    """Return the rows of the items that a text file lists, one to a line, in the order of the items.

    A line is an item's name, the name of its image file, or the path of that file below `root` or in a zip file there.

    Raises:
        InputError: the file cannot be read or is empty, or a line names no image, or more than one.
    """
    wanted = _lines(path)
    rows: dict[str, set[int]] = {}
    for row, item in enumerate(items):
        for name in (item.name, item.image.name, path_below(item, root)):
            rows.setdefault(name, set()).add(row)
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        raise InputError(
            f"{len(unknown)} of the {len(wanted)} names in {path} are none of the {len(items)} training images in "
            f"{root}, {', '.join(unknown[:3])} first. Expected names such as {items[0].name}."
        )
    several = [name for name in wanted if len(rows[name]) > 1]
    if several:
        raise InputError(
            f"{several[0]} in {path} is the name of {len(rows[several[0]])} images. Give their paths below {root}."
        )
    chosen = set().union(*(rows[name] for name in wanted))
    return sorted(chosen)


def _lines(path: Path) -> list[str]:
    check_file(path)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:  # the latter of what is no text, or of a name that no file can have
        raise InputError(
            f"data.files {path} cannot be read{paths.searched_in(path)} ({error}). Give a text file of one name "
            "per line."
        ) from error
    wanted = [line for line in lines if line]
    if not wanted:
        raise InputError(f"data.files {path} is empty, expected the name of a training image on each line.")
    return wanted
