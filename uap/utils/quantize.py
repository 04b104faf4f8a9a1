"""Rounding of adversarial images to 8 bits."""

import math

import torch
from torch import Tensor


def eight_bit(images: Tensor) -> Tensor:
    """Return images of any dtype rounded and clipped to 0 to 255, as uint8.

    Example:
        >>> import torch
        >>> eight_bit(torch.tensor([-3.0, 12.6, 300.0])).tolist()
        [0, 13, 255]
    """
    return images.round().clamp(0, 255).to(torch.uint8)


def quantize(images: Tensor, adversarial: Tensor, epsilon: float | None = None) -> Tensor:
    """Return adversarial images rounded to 8 bits, within 0 to 255 and within epsilon of the clean images.

    Rounding alone could exceed epsilon, so the change is clipped first, and the rounded values once more. A pixel
    without a whole number within epsilon gets the rounded clean value.

    Args:
        images: clean images `(N, 3, H, W)`, 0 to 255.
        adversarial: adversarial images `(N, 3, H, W)`.
        epsilon: maximal change in grey levels; None for no bound.

    Returns:
        `(N, 3, H, W)` uint8.

    Example:
        >>> import torch
        >>> quantize(torch.tensor([10.0, 10.6]), torch.tensor([12.5, 12.6]), epsilon=2).tolist()
        [12, 12]
    """
    images = images.float()
    change = adversarial - images
    if epsilon is None:
        return eight_bit(images + change)
    return quantize_change(images, change, epsilon)


def quantize_change(images: Tensor, change: Tensor, epsilon: float) -> Tensor:
    """Return images plus a change as uint8, within epsilon of the images; see `quantize`.

    Args:
        images: `(N, 3, H, W)` float32, 0 to 255.
        change: in grey levels, of a shape that broadcasts to that of the images.
        epsilon: maximal change in grey levels.
    """
    whole = math.floor(epsilon)
    shown = (images + change.clamp(-whole, whole)).round()
    low, high = (images - epsilon).ceil(), (images + epsilon).floor()
    return eight_bit(torch.where(low <= high, shown.clamp(low, high), images))
