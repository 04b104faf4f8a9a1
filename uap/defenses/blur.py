"""Gaussian blur."""

from torch import Tensor

from uap.defenses.base import Defense, rounded
from uap.utils.errors import InputError
from uap.utils.numbers import check_number


class Blur(Defense):
    """Gaussian blur, rounded to 8 bits; the gradient is that of the blur.

    Args:
        sigma: standard deviation in pixels, above 0. The kernel reaches 4 standard deviations to each side.

    Raises:
        InputError: the standard deviation is not above 0, or the kernel is larger than the images.

    Example:
        >>> import torch
        >>> Blur(1.0)(torch.full((1, 3, 16, 16), 9.0)).unique().tolist()
        [9.0]
    """

    def __init__(self, sigma: float) -> None:
        """Set the standard deviation."""
        super().__init__()
        check_number("Blur", "sigma", sigma, above=0, unit="pixels")
        self.sigma = sigma

    def exact(self, images: Tensor) -> Tensor:
        """Return the blurred images."""
        return rounded(self.approximate(images.float()))

    def approximate(self, images: Tensor) -> Tensor:
        """Return the blurred images without rounding."""
        from torchvision.transforms.v2.functional import gaussian_blur  # slow to import

        reach = max(1, int(4 * self.sigma + 0.5))  # as in scipy.ndimage.gaussian_filter
        if min(images.shape[-2:]) <= reach:
            raise InputError(
                f"Blur with sigma={self.sigma} reaches {reach} pixels to each side, which images of "
                f"{images.shape[-2]} x {images.shape[-1]} are too small for. Set a smaller sigma.",
                setting="sigma",
                kind="out_of_range",
            )
        blurred: Tensor = gaussian_blur(images, [2 * reach + 1] * 2, [self.sigma] * 2)
        return blurred
