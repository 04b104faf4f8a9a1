"""The residual of an image: what a small blur removes, without strong edges."""

import torch
from torch import Tensor

from uap.defenses import Blur
from uap.utils.errors import InputError

BLUR = 1.0
"""Standard deviation of the blur in pixels."""

LEAST = 5
"""The smallest height and width of an image: one pixel more than the reach of the blur."""

EDGES = 2.0
"""Values beyond so many median absolute values are clipped: edges of the scene are far larger than a perturbation."""


def residual(image: Tensor) -> Tensor:
    """Return the residual `(3, H, W)` of an image `(3, H, W)`; each channel has the mean 0.

    Raises:
        InputError: the image is smaller than the reach of the blur.

    Example:
        >>> residual(torch.full((3, 8, 8), 9.0)).abs().max().item()
        0.0
    """
    height, width = image.shape[-2:]
    if min(height, width) < LEAST:
        raise InputError(
            f"Images of {height} x {width} are too small for their residual, expected {LEAST} x {LEAST} or more. Use "
            "larger images.",
            setting="images",
            kind="out_of_range",
        )
    high = image - Blur(BLUR).approximate(image[None])[0]
    bound = EDGES * high.abs().flatten(1).median(1).values.clamp(min=0.5)[:, None, None]
    clipped = torch.maximum(torch.minimum(high, bound), -bound)
    return clipped - clipped.mean((1, 2), keepdim=True)
