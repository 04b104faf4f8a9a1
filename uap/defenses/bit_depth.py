"""Fewer bits for each pixel value."""

from torch import Tensor

from uap.defenses.base import Defense, rounded
from uap.utils.numbers import check_number


class BitDepth(Defense):
    """Rounding of pixel values to a number of bits (Xu et al., arXiv 1704.01155); the gradient is the identity's.

    Args:
        bits: 1 to 8.

    Raises:
        InputError: the number of bits is out of range.

    Example:
        >>> import torch
        >>> BitDepth(1)(torch.tensor([9.0, 200.0]).view(1, 1, 1, 2)).flatten().tolist()
        [0.0, 255.0]
    """

    def __init__(self, bits: int) -> None:
        """Set the number of bits."""
        super().__init__()
        check_number("BitDepth", "bits", bits, 1, 8, whole=True)
        self.bits = bits

    def exact(self, images: Tensor) -> Tensor:
        """Return the images with fewer levels."""
        step = 255 / (2**self.bits - 1)
        return rounded((rounded(images) / step).round() * step)
