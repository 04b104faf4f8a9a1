"""Reading and resizing of images."""

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


def read_image(path: Path | Source, *, upright: bool = False) -> NDArray[np.uint8]:
    """Read an image as RGB, uint8 `(H, W, 3)`, 0 to 255. Color images with 16 bits per channel lose the lower 8 bits.

    Args:
        path: the image file, or an image in another file.
        upright: whether to rotate the image by its EXIF orientation.

    Raises:
        InputError: the file is missing, truncated or not an image, or is a grey image with more than 8 bits per pixel.
    """
    return np.asarray(open_image(path, upright=upright).convert("RGB"))


def open_image(path: Path | Source, *, upright: bool = False) -> Image.Image:
    """Return a PIL image of 8 bits per channel, with its EXIF data; arguments and errors are those of `read_image`."""
    picture = _open(path)
    if picture.mode.startswith(("I", "F")):
        raise InputError(
            f"{path} has mode {picture.mode}, expected 8 bits per channel. Convert it first.", kind="unusable_file"
        )
    return ImageOps.exif_transpose(picture) if upright else picture


def read_mask(path: Path | Source) -> NDArray[np.uint8]:
    """Read the class ids of a one-channel PNG, uint8 `(H, W)`.

    Raises:
        InputError: the file is missing, truncated, or not an 8-bit PNG of one channel.
    """
    return np.asarray(_open(path, ids=True))


def read_numbers(path: Path | Source) -> NDArray[np.int32]:
    """Read a PNG of one channel with up to 16 bits, such as instance ids, int32 `(H, W)`.

    Raises:
        InputError: the file is missing, truncated, or not a PNG of one channel.
    """
    try:
        with _opened(path) as picture:
            if picture.format != "PNG" or len(picture.getbands()) != 1:
                raise InputError(
                    f"{path} is a {picture.format} in mode {picture.mode}, expected a PNG of one channel with the "
                    "instance id of each pixel. Extract the original files again.",
                    kind="unusable_file",
                )
            return np.asarray(picture).astype(np.int32)
    except PICTURE_ERRORS as error:
        raise unreadable_picture(path, error) from error


def has_ids(path: Path | Source) -> bool:
    """Return whether an image has one channel, as images of class ids do; errors are those of `read_image`."""
    try:
        with _opened(path) as picture:
            return len(picture.getbands()) == 1
    except PICTURE_ERRORS as error:
        raise unreadable_picture(path, error) from error


def _open(path: Path | Source, *, ids: bool = False) -> Image.Image:
    try:
        with _opened(path) as picture:
            if ids:
                _check_ids(picture, path)
            picture.load()
            return picture
    except PICTURE_ERRORS as error:
        raise unreadable_picture(path, error) from error


def stored_size(path: Path | Source, *, upright: bool = False) -> tuple[int, int]:
    """Return the height and width of an image without reading its pixels; arguments and errors as of `read_image`."""
    try:
        with _opened(path) as picture:
            width, height = picture.size
            turned = upright and picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    except PICTURE_ERRORS as error:
        raise unreadable_picture(path, error) from error
    return (width, height) if turned else (height, width)


def _opened(path: Path | Source) -> Image.Image:
    if isinstance(path, Source):
        return path.open()
    check_file(path)
    return Image.open(path, formats=FORMATS)


def _check_ids(picture: Image.Image, path: Path | Source) -> None:
    """Check, before the pixels are loaded, that the format of an image preserves class ids."""
    kind = f"is a {picture.format}" if picture.format != "PNG" else ""  # JPEG, for example, changes ids
    if picture.mode not in ("L", "P"):
        kind = f"has mode {picture.mode}"
    if any(tile[3] in ("L;2", "L;4") for tile in getattr(picture, "tile", ())):
        kind = "has grey levels of less than 8 bits"  # Pillow scales them to 0 to 255
    if kind:
        raise InputError(
            f"{path} {kind}, expected an 8-bit PNG of one channel with a class id per pixel. Convert color-coded "
            "labels to ids first. JPEG does not preserve ids: extract the original files again.",
            kind="unusable_file",
        )


def resize_image(image: NDArray[np.uint8], size: tuple[int, int], resampling: Resampling) -> NDArray[np.uint8]:
    """Resize an image uint8 `(H, W, 3)` bilinearly to `size` = (height, width)."""
    if image.shape[:2] == size:
        return image
    if resampling == "opencv":
        return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
