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

    An 8-bit image changes by whole grey levels, so the change is clipped to the largest whole number up to epsilon: 2
    for an epsilon of 2.5. Rounding alone could exceed epsilon.

    Args:
        images: clean images `(N, 3, H, W)`, 0 to 255.
        adversarial: adversarial images `(N, 3, H, W)`.
        epsilon: maximal change in grey levels; None for no bound.

    Returns:
        `(N, 3, H, W)` uint8.

    Example:
        >>> import torch
        >>> quantize(torch.tensor([10.0]), torch.tensor([12.5]), epsilon=2.5).tolist()
        [12]
    """
    change = adversarial - images.float()
    if epsilon is not None:
        change = change.clamp(-math.floor(epsilon), math.floor(epsilon))
    return eight_bit(images.float() + change)
