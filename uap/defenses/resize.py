"""Resizing to another size and back."""

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.defenses.base import Defense, RandomDefense, rounded
from uap.utils.numbers import check_number


class Resize(Defense):
    """Resizing by a factor and back, bilinearly with antialiasing; both results are rounded to 8 bits.

    The gradient is that of the two interpolations.

    Args:
        scale: factor, above 0.

    Raises:
        InputError: the factor is not above 0.

    Example:
        >>> Resize(0.5)(torch.full((1, 3, 8, 8), 9.0)).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, scale: float) -> None:
        """Set the factor."""
        super().__init__()
        check_number("Resize", "scale", scale, above=0)
        self.scale = scale

    def exact(self, images: Tensor) -> Tensor:
        """Return the resized images."""
        return rounded(_interpolate(rounded(_interpolate(images.float(), self._other(images))), _size(images)))

    def approximate(self, images: Tensor) -> Tensor:
        """Return the resized images without rounding."""
        return _interpolate(_interpolate(images, self._other(images)), _size(images))

    def _other(self, images: Tensor) -> tuple[int, int]:
        height, width = _size(images)
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))


class RandomResize(RandomDefense):
    """Resizing as in `Resize` by a random factor, sampled for each image (Xie et al., arXiv 1711.01991).

    Args:
        low: smallest factor, above 0.
        high: largest factor.
        seed: of the factors.

    Raises:
        InputError: the factors are out of order.

    Example:
        >>> RandomResize(0.5, 0.9)(torch.full((2, 3, 8, 8), 9.0)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, low: float = 0.5, high: float = 1.0, seed: int = 0) -> None:
        """Set the range of the factor."""
        super().__init__(seed)
        check_number("RandomResize", "high", high, above=0)
        check_number("RandomResize", "low", low, high=high, above=0)
        self.low, self.high = low, high
        self.chosen: list[Resize] = []

    def exact(self, images: Tensor) -> Tensor:
        """Return the resized images."""
        shares = [float(torch.rand(1, generator=one)) for one in self.generators(images)]
        self.chosen = [Resize(self.low + share * (self.high - self.low)) for share in shares]
        return torch.cat([resize.exact(image[None]) for resize, image in zip(self.chosen, images, strict=True)])

    def approximate(self, images: Tensor) -> Tensor:
        """Return the images resized by the factors of the last `exact`, without rounding."""
        return torch.cat([resize.approximate(image[None]) for resize, image in zip(self.chosen, images, strict=True)])


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _interpolate(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
