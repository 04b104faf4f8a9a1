"""Selection of images: sampled with a seed, evenly spread, or listed in a file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uap.datasets.sources import Item, ZipMember, check_file
from uap.utils import paths
from uap.utils.errors import InputError


def sampled(count: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Return `limit` of the rows from 0 to `count` - 1, sampled without replacement, sorted."""
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def evenly(count: int, wanted: int | None) -> NDArray[np.int64]:
    """Return `wanted` of the rows from 0 to `count` - 1, evenly spread from the first to the last.

    All commands select scored, attacked and plotted images with this function, so that the same number selects the
    same images.

    Args:
        count: number of images.
        wanted: number of selected images; None, or a number above `count`, selects all.
    """
    wanted = count if wanted is None else min(wanted, count)
    return np.linspace(0, count - 1, wanted).round().astype(np.int64)


def path_below(item: Item, root: Path) -> str:
    """Return the path of an item's image relative to `root` or in a zip file; for a frame of a video, its name."""
    image = item.image
    if isinstance(image, Path):
        return image.relative_to(root).as_posix() if image.is_relative_to(root) else str(image)
    return image.member if isinstance(image, ZipMember) else item.name


def listed(items: list[Item], path: Path, root: Path) -> list[int]:
    """Return the rows of the items that a text file lists, sorted.

    Each line is the name of an item, the name of its image file, or the path of this file relative to `root` or in a
    zip file.

    Args:
        items: the items of a data set.
        path: the text file.
        root: the folder of the data set.

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
            f"{root}, {', '.join(unknown[:3])} first. Expected names such as {items[0].name}.",
            setting="data.files",
            kind="unknown_name",
        )
    several = [name for name in wanted if len(rows[name]) > 1]
    if several:
        raise InputError(
            f"{several[0]} in {path} is the name of {len(rows[several[0]])} images. Give their paths below {root}.",
            setting="data.files",
            kind="conflict",
        )
    chosen = set().union(*(rows[name] for name in wanted))
    return sorted(chosen)


def _lines(path: Path) -> list[str]:
    check_file(path)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:  # ValueError: not text, or an invalid file name
        raise InputError(
            f"data.files {path} cannot be read{paths.searched_in(path)} ({error}). Give a text file of one name "
            "per line.",
            setting="data.files",
            kind="missing_file" if isinstance(error, FileNotFoundError) else "unusable_file",
        ) from error
    wanted = [line for line in lines if line]
    if not wanted:
        raise InputError(
            f"data.files {path} is empty, expected the name of a training image on each line.",
            setting="data.files",
            kind="unusable_file",
        )
    return wanted
