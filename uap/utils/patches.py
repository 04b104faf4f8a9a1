"""Square patches of images."""

from collections.abc import Callable

import torch
from torch import Tensor

from uap.utils.errors import InputError
from uap.utils.numbers import check_number

TOGETHER = 16
"""Patches that a network sees in one batch."""

PATCH_SHARE = 1 / 2
"""Patches of Xiao et al. (512 pixels) as a share of the shorter side of their images (1024 pixels)."""

MOST = 10_000
"""The largest number of patches."""

MOST_SEED = 2**63 - 1
"""The largest seed that a random generator takes."""


def check_patches(owner: str, patches: object, size: object, multiple: object, seed: object) -> None:
    """Check the arguments that describe random patches.

    Args:
        owner: the class or function that got them, for the message.
        patches: their number.
        size: their side in pixels; None for half the shorter side of the image.
        multiple: their sides are multiples of this number of pixels.
        seed: of their positions.

    Raises:
        InputError: one of them is no integer or out of range.

    Example:
        >>> check_patches("Patched", patches=5, size=None, multiple=8, seed=0)
    """
    check_number(owner, "patches", patches, 1, MOST, whole=True)
    check_number(owner, "multiple", multiple, 1, whole=True, unit="pixels")
    check_number(owner, "seed", seed, 0, MOST_SEED, whole=True)
    if size is not None:
        check_number(owner, "size", size, 2, whole=True, unit="pixels")


def patch_side(height: int, width: int, multiple: int) -> int:
    """Return the side of a patch in pixels: half the shorter side of the image, rounded down to a multiple.

    It is at least one multiple, also where that is more than half the image.

    Example:
        >>> patch_side(1024, 2048, 8), patch_side(360, 480, 8), patch_side(2400, 1080, 8)
        (512, 176, 536)
    """
    return max(multiple, int(min(height, width) * PATCH_SHARE) // multiple * multiple)


def fitting_side(height: int, width: int, size: int | None, multiple: int) -> int:
    """Return the side of patches that fit into images: `size`, or that of `patch_side`.

    Raises:
        InputError: the patches are larger than the images.

    Example:
        >>> fitting_side(360, 480, None, 8), fitting_side(360, 480, 100, 8)
        (176, 100)
    """
    side = size or patch_side(height, width, multiple)
    if side > min(height, width):
        raise InputError(
            f"Patches of {side} pixels do not fit into images of {height} x {width}. {advice(size)}",
            setting="size",
            kind="out_of_range",
        )
    return side


def advice(size: int | None) -> str:
    """Return what to do if patches do not fit into the images.

    Args:
        size: the side that was set; None if it is that of `patch_side`.

    Example:
        >>> advice(None)
        'Use larger images.'
    """
    return "Use larger images." if size is None else "Set a smaller size."


def cut(image: Tensor, corners: Tensor, side: int) -> Tensor:
    """Return patches `(n, 3, side, side)` of an image `(3, H, W)` at corners `(n, 2)` (rows, columns).

    Example:
        >>> cut(torch.arange(12.0).view(1, 3, 4).expand(3, 3, 4), torch.tensor([[1, 2]]), 2)[0, 0].tolist()
        [[6.0, 7.0], [10.0, 11.0]]
    """
    return torch.stack([image[:, y : y + side, x : x + side] for y, x in corners.tolist()])


def predictions(victim: Callable[[Tensor], Tensor], image: Tensor, corners: Tensor, side: int) -> Tensor:
    """Return the class ids `(n, side, side)` that a network predicts on patches of an image, in batches.

    Args:
        victim: images `(N, 3, H, W)` to logits `(N, C, H, W)`.
        image: `(3, H, W)`.
        corners: `(n, 2)` int64 (rows, columns).
        side: of the patches.

    Raises:
        InputError: the network does not return logits for each pixel.

    Example:
        >>> predictions(lambda images: images, torch.zeros(3, 4, 4), torch.tensor([[0, 0], [1, 2]]), 2).shape
        torch.Size([2, 2, 2])
    """
    found = []
    for start in range(0, len(corners), TOGETHER):
        patches = cut(image, corners[start : start + TOGETHER], side)
        logits = victim(patches)
        if logits.ndim != 4 or logits.shape[2:] != patches.shape[2:]:
            raise InputError(
                f"The network gives {tuple(logits.shape)} for patches of {side} x {side} pixels, expected a prediction "
                "for each pixel: logits (N, C, H, W) of the same size.",
                setting="victim",
                kind="wrong_shape",
            )
        found.append(logits.argmax(1))
    return torch.cat(found)


def covering_corners(
    count: int, height: int, width: int, side: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return random corners `(count, 2)` int64 (rows, columns) of patches inside an image.

    Corners that would lie outside are moved to the border, so that the pixels there are in as many patches as others.

    Example:
        >>> corners = covering_corners(100, 8, 16, 4, torch.Generator().manual_seed(0))
        >>> corners.amin(0).tolist(), corners.amax(0).tolist()
        ([0, 0], [4, 12])
    """
    reach = torch.tensor([height + side - 1, width + side - 1])
    corners = (torch.rand(count, 2, generator=generator) * reach).long() - (side - 1)
    return corners.clamp(min=0).minimum(torch.tensor([height - side, width - side]))
