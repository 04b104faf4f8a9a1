"""Why a file cannot be read: each cause with a cure of its own."""

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from uap.datasets.files import FORMATS
from uap.utils.errors import InputError

PICTURE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises of a file that it cannot read."""


def unreadable_file(place: object, error: OSError, cure: str) -> InputError:
    """Return the sentence for a file that the system does not give; `cure` is that of a missing one."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{place} does not exist. {cure}")
    if isinstance(error, PermissionError):
        return InputError(f"{place} may not be read (permission denied). Give yourself the right to read it: chmod +r.")
    return InputError(f"{place} cannot be read ({error.strerror or error}). Check the disk and the path.")


def unreadable_picture(place: object, error: Exception) -> InputError:
    """Return the sentence for what is no picture, is only a part of one, has too many pixels, or is not given."""
    if isinstance(error, OSError) and error.errno is not None:
        return unreadable_file(place, error, "Check the path, or extract the data set again.")
    if isinstance(error, Image.DecompressionBombError):
        return InputError(f"{place} has too many pixels to be read ({error}). Make the picture smaller first.")
    if isinstance(error, UnidentifiedImageError):
        start = _start(place)
        if not start:
            return InputError(f"{place} is empty, 0 bytes. Extract or download it again.")
        if not _begins_like_a_picture(start):
            return InputError(
                f"{place} is not a picture, whatever its name, expected one of {', '.join(FORMATS)}. Convert it, or "
                "take it away."
            )
    return InputError(f"{place} is truncated or damaged ({error}). Extract or download it again.")


def _start(place: object) -> bytes:
    """Return the first bytes of a file; of what is in an archive, which checks that it is whole, any."""
    if not isinstance(place, Path):
        return b"no picture"
    with place.open("rb") as file:
        return file.read(16)


def _begins_like_a_picture(start: bytes) -> bool:
    padded = start.ljust(16, b"\0")  # some ask for more bytes than there are
    accepting = [Image.OPEN[name][1] for name in FORMATS]
    return any(accept is not None and accept(padded) is True for accept in accepting)


def check_readable(path: Path) -> None:
    """Check that a file that exists may be read: libraries call one that may not be read damaged.

    Raises:
        InputError: it may not.
    """
    if path.exists() and not os.access(path, os.R_OK):
        raise unreadable_file(path, PermissionError(), "")
