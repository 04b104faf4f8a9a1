"""Reading and resizing pictures: from files to arrays."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from uap.datasets.files import FORMATS
from uap.datasets.sources import Source, check_file
from uap.datasets.unreadable import PICTURE_ERRORS, unreadable_picture
from uap.utils.errors import InputError

Resampling = Literal["pil", "opencv"]
"""How images are resized: `pil` averages over dropped pixels (PIL's BILINEAR), `opencv` does not (INTER_LINEAR)."""


def read_image(place: Path | Source, *, upright: bool = False) -> NDArray[np.uint8]:
    """Read a picture as RGB, uint8 (H, W, 3), 0 to 255.

    Args:
        place: where it is.
        upright: turn it as its EXIF data say, as viewers show it; else the pixels stay as they are stored.

    Raises:
        InputError: the file is missing, truncated, no picture, or has more than 8 bits per pixel of grey. Of 16 bits in
            color Pillow reads the upper 8.
    """
    return np.asarray(open_image(place, upright=upright).convert("RGB"))


def open_image(place: Path | Source, *, upright: bool = False) -> Image.Image:
    """Return a picture of 8 bits per channel, with its EXIF data; arguments and errors are those of `read_image`."""
    picture = _open(place)
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"{place} has mode {picture.mode}, expected 8 bits per channel. Convert it first.")
    return ImageOps.exif_transpose(picture) if upright else picture


def read_mask(place: Path | Source) -> NDArray[np.uint8]:
    """Read a one-channel PNG of ids, uint8 (H, W).

    Raises:
        InputError: the file is missing, truncated, or not an 8-bit PNG of one channel.
    """
    return np.asarray(_open(place, ids=True))


def has_ids(place: Path | Source) -> bool:
    """Return whether the pixels of a picture are single numbers, as ids are; errors are those of `read_image`."""
    try:
        with _opened(place) as picture:
            return len(picture.getbands()) == 1
    except PICTURE_ERRORS as error:
        raise unreadable_picture(place, error) from error


def _open(place: Path | Source, *, ids: bool = False) -> Image.Image:
    try:
        with _opened(place) as picture:
            if ids:
                _check_ids(picture, place)
            picture.load()
            return picture
    except PICTURE_ERRORS as error:
        raise unreadable_picture(place, error) from error


def stored_size(place: Path | Source, *, upright: bool = False) -> tuple[int, int]:
    """Return height and width of a picture without reading its pixels; arguments and errors as of `read_image`."""
    try:
        with _opened(place) as picture:
            width, height = picture.size
            turned = upright and picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    except PICTURE_ERRORS as error:
        raise unreadable_picture(place, error) from error
    return (width, height) if turned else (height, width)


def _opened(place: Path | Source) -> Image.Image:
    if isinstance(place, Source):
        return place.open()
    check_file(place)
    return Image.open(place, formats=FORMATS)


def _check_ids(picture: Image.Image, place: Path | Source) -> None:
    """Check that the pixels of a picture that is not loaded yet will be the ids that were written."""
    kind = f"is a {picture.format}" if picture.format != "PNG" else ""  # others may have lost the ids, as JPEG does
    if picture.mode not in ("L", "P"):
        kind = f"has mode {picture.mode}"
    if any(tile[3] in ("L;2", "L;4") for tile in getattr(picture, "tile", ())):
        kind = "has grey levels of less than 8 bits"  # which Pillow scales to 0 to 255
    if kind:
        raise InputError(
            f"{place} {kind}, expected an 8-bit PNG of one channel that holds a class id per pixel. Color-coded "
            "labels must be converted to ids first; ids that were saved as JPEG are lost: extract the originals again."
        )


def resize_image(image: NDArray[np.uint8], size: tuple[int, int], resampling: Resampling) -> NDArray[np.uint8]:
    """Resize uint8 (H, W, 3) bilinearly to `size` = (height, width)."""
    if image.shape[:2] == size:
        return image
    if resampling == "opencv":
        return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize ids uint8 (H, W) to `size` = (height, width) by the nearest neighbor, as PIL does it."""
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
