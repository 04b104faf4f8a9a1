"""Adversarial images with 8 bits."""

import math

import torch
from torch import Tensor


def quantize(images: Tensor, adversarial: Tensor, epsilon: float | None = None) -> Tensor:
    """Return adversarial images as they can be saved: rounded, within 0 to 255, within epsilon of the clean ones.

    Images whose values are whole numbers change by whole numbers, so of an epsilon of 2.5 only 2 can be saved. Rounding
    alone would go beyond it.

    Args:
        images: the clean images `(N, 3, H, W)`, 0 to 255.
        adversarial: `(N, 3, H, W)`.
        epsilon: the largest change in grey levels; None for no bound.

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
    return (images.float() + change).round().clamp(0, 255).to(torch.uint8)
