"""Which files of a folder are read: all of the known kinds, behind links too; the others are said once."""

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
"""What a picture may be, whatever its name; of others Pillow gives some to programs that execute what is in them."""

ENDINGS = tuple(
    sorted(
        ending
        for ending, kind in Image.registered_extensions().items()
        if kind in FORMATS and ending != ".pfm"  # which holds floats
    )
)
"""How the names of pictures may end."""

NOT_CONTENT = ("__macosx", "desktop.ini", "ehthumbs.db", "thumbs.db")
"""What systems leave in folders and archives beside the files whose names begin with a dot, in lower case."""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is none of the user's: `._x.png`, `.DS_Store`, `Thumbs.db` and their like."""
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in NOT_CONTENT


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and the folders in it, sorted; hidden ones are left out.

    Links are followed. A folder that is reached twice is read once: links may lead in a circle. Real folders go before
    links, so that a link changes no other file's path. Folders that may not be read are said once.

    Returns:
        The files; none where there is no such folder.

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
            elif os.path.isdir(entry.path):  # unlike the entry's own method it takes a link to itself for no folder
                links.append(current / entry.name)
            else:
                found.append(current / entry.name)
    if refused:
        say_once(f"Left out, since they may not be read: {len(refused)} folders in {folder}, {refused[0]} first.")
    return sorted(found)


def readable_files(folder: Path, endings: tuple[str, ...], kind: str) -> list[Path]:
    """Return the files of `files_below` that end in one of `endings`, whatever the case; say once what is left out.

    Raises:
        OSError: the folder itself cannot be read.
    """
    files = files_below(folder)
    found = [path for path in files if ends_in(path, endings)]
    say_left_out(folder, (path for path in files if not ends_in(path, endings)), kind)
    return found


def ends_in(path: PurePath, endings: tuple[str, ...]) -> bool:
    """Return whether a file's name ends in one of `endings`, whatever the case."""
    return path.name.lower().endswith(tuple(ending.lower() for ending in endings))


def say_left_out(where: Path, files: Iterable[PurePath], kind: str) -> None:
    """Say once how many files, by their endings, are not of a kind that is read."""
    counts = Counter(path.suffix.lower() or "without an ending" for path in files)
    if counts:
        listed = ", ".join(f"{count} {ending}" for ending, count in counts.most_common())
        say_once(f"Left out in {where}, since they are not {kind} that can be read: {listed}.")
