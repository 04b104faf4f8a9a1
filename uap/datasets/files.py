"""Listing of the readable files of a folder, links included; files of other types are reported once."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath

from PIL import Image

from uap.utils.messages import say_once

Image.init()

FORMATS = tuple(
    name
    for name in ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
    if name in Image.OPEN  # not every build of Pillow has all
)
"""Allowed image formats, independent of file names. Pillow opens some others with programs that execute their code."""

ENDINGS = tuple(
    sorted(
        ending
        for ending, kind in Image.registered_extensions().items()
        if kind in FORMATS and ending != ".pfm"  # its pixels are floats
    )
)
"""Suffixes of image files."""

NOT_CONTENT = ("__macosx", "desktop.ini", "ehthumbs.db", "thumbs.db")
"""Lower-case names of files of operating systems in folders and archives; names with a leading dot are others."""


def is_hidden(name: str) -> bool:
    """Return whether a name is that of a hidden or system file or folder, such as `.DS_Store` or `Thumbs.db`."""
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in NOT_CONTENT


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and its subfolders, sorted; hidden ones are left out.

    Links are followed. A folder that is reached twice is read once, because links can form a cycle. Real folders are
    read before links, so that a link does not change the paths of other files. Folders without read permission are
    reported once.

    Returns:
        The files; an empty list if the folder does not exist.

    Raises:
        OSError: the folder itself cannot be read.
    """
    if not folder.is_dir():
        return []
    found: list[Path] = []
    refused: list[Path] = []
    seen: set[Path] = set()
    real, links = [folder], list[Path]()
    while real or links:
        current = (real or links).pop(0)
        where = current.resolve()
        if where in seen:
            continue
        seen.add(where)
        try:
            with os.scandir(current) as scanned:
                entries = sorted((entry for entry in scanned if not is_hidden(entry.name)), key=lambda e: e.name)
        except PermissionError:
            if current == folder:
                raise
            refused.append(current)
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                real.append(current / entry.name)
            elif os.path.isdir(entry.path):  # `entry.is_dir()` raises an error for a link to itself
                links.append(current / entry.name)
            else:
                found.append(current / entry.name)
    if refused:
        say_once(f"Left out without read permission: {len(refused)} folders in {folder}, {refused[0]} first.")
    return sorted(found)


def readable_files(folder: Path, endings: tuple[str, ...], kind: str) -> list[Path]:
    """Return the files in a folder and its subfolders with one of some suffixes; report the others once.

    Args:
        folder: the folder.
        endings: suffixes in any case.
        kind: plural noun for the files in the message, such as `pictures`.

    Raises:
        OSError: the folder itself cannot be read.
    """
    files = files_below(folder)
    found = [path for path in files if ends_in(path, endings)]
    say_left_out(folder, (path for path in files if not ends_in(path, endings)), kind)
    return found


def ends_in(path: PurePath, endings: tuple[str, ...]) -> bool:
    """Return whether the name of a file ends in one of `endings`, in any case."""
    return path.name.lower().endswith(tuple(ending.lower() for ending in endings))


def say_left_out(where: Path, files: Iterable[PurePath], kind: str) -> None:
    """Report once the number of unreadable files by suffix.

    Args:
        where: the folder or zip file.
        files: the files that are left out.
        kind: plural noun for the readable files, such as `pictures`.
    """
    counts = Counter(path.suffix.lower() or "without an ending" for path in files)
    if counts:
        listed = ", ".join(f"{count} {ending}" for ending, count in counts.most_common())
        say_once(f"Left out in {where}, because they are not readable {kind}: {listed}.")
