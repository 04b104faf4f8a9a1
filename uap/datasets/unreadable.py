"""Messages about files that cannot be read, with the cause and the solution."""

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from uap.datasets.files import FORMATS
from uap.utils.errors import InputError

PICTURE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""The errors that Pillow raises for unreadable files."""


def unreadable_file(path: object, error: OSError, cure: str) -> InputError:
    """Return the error for an unreadable file.

    Args:
        path: the file.
        error: the error of the operating system.
        cure: the advice for a missing file.
    """
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist. {cure}", kind="missing_file")
    if isinstance(error, PermissionError):
        return InputError(
            f"{path} may not be read (permission denied). Give yourself the right to read it: chmod +r.",
            kind="unusable_file",
        )
    return InputError(
        f"{path} cannot be read ({error.strerror or error}). Check the disk and the path.", kind="unusable_file"
    )


def unreadable_picture(path: object, error: Exception) -> InputError:
    """Return the error for an image that is not an image, is truncated, is too large, or cannot be read."""
    if isinstance(error, OSError) and error.errno is not None:
        return unreadable_file(path, error, "Check the path, or extract the data set again.")
    if isinstance(error, Image.DecompressionBombError):
        return InputError(
            f"{path} has too many pixels to be read ({error}). Make the picture smaller first.", kind="unusable_file"
        )
    if isinstance(error, UnidentifiedImageError):
        start = _start(path)
        if not start:
            return InputError(f"{path} is empty, 0 bytes. Extract or download it again.", kind="unusable_file")
        if not _begins_like_a_picture(start):
            return InputError(
                f"{path} is not a picture, despite its name, expected one of {', '.join(FORMATS)}. Convert it, or "
                "remove it.",
                kind="unusable_file",
            )
    return InputError(f"{path} is truncated or damaged ({error}). Extract or download it again.", kind="unusable_file")


def _start(path: object) -> bytes:
    """Return the first bytes of a file; a placeholder for an archive member, whose checksum was verified."""
    if not isinstance(path, Path):
        return b"no picture"
    with path.open("rb") as file:
        return file.read(16)


def _begins_like_a_picture(start: bytes) -> bool:
    padded = start.ljust(16, b"\0")  # some formats read more bytes than an empty file has
    accepting = [Image.OPEN[name][1] for name in FORMATS]
    return any(accept is not None and accept(padded) is True for accept in accepting)


def check_readable(path: Path) -> None:
    """Check the read permission of a file if it exists, because some libraries report such a file as damaged.

    Raises:
        InputError: the file exists and is not readable.
    """
    if path.exists() and not os.access(path, os.R_OK):
        raise unreadable_file(path, PermissionError(), "")
