"""The period of a tile in the residual of an image."""

import torch
from torch import Tensor

from uap.detectors.base import Detector
from uap.detectors.residual import residual
from uap.objectives.base import Model
from uap.utils.errors import InputError
from uap.utils.numbers import check_number


class TilePeriod(Detector):
    """Minus the largest autocorrelation of the residual of an image at lags of a tile or more.

    A periodic perturbation repeats its tile, so that the residual is similar to itself at the lag of a period. The
    detector does not look at predictions, and finds nothing in perturbations that are not periodic. Nor does it find
    tiles that are larger than half of the image, because lags end there, and tiles without fine detail, because the
    residual has none of the low frequencies.

    Args:
        smallest: the smallest lag in rows and in columns; one of the two must reach it.

    Raises:
        InputError: the lag is below 2, or images are smaller than two lags.

    Example:
        >>> tile = torch.randint(-20, 21, (3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
        >>> images = 128 + torch.stack([tile.repeat(1, 4, 4), tile.repeat(1, 4, 4).roll(1, 0)])
        >>> TilePeriod(8)(lambda images: images, images).round(decimals=2).tolist()
        [-1.0, -1.0]
    """

    def __init__(self, smallest: int = 8) -> None:
        """Set the smallest lag."""
        check_number("TilePeriod", "smallest", smallest, 2, whole=True, unit="pixels")
        self.smallest = smallest

    def score(self, victim: Model, image: Tensor) -> float:
        """Return minus the largest autocorrelation; see `Detector.score`."""
        height, width = image.shape[-2:]
        if min(height, width) < 2 * self.smallest:
            raise InputError(
                f"Images of {height} x {width} are too small for periods of {self.smallest} pixels. Set a smaller "
                "period.",
                setting="smallest",
                kind="out_of_range",
            )
        return -float(self.correlations(image[0]).max())

    def correlations(self, image: Tensor) -> Tensor:
        """Return the autocorrelation of an image `(3, H, W)` at lags of up to half its size, 0 below the smallest lag.

        Returns:
            `(H // 2 + 1, 2 * (W // 2) + 1)` for lags of 0 to H // 2 rows and -(W // 2) to W // 2 columns.
        """
        height, width = image.shape[-2:]
        spectrum = torch.fft.rfft2(residual(image), s=(2 * height, 2 * width))
        products = torch.fft.irfft2(spectrum.abs().square(), s=(2 * height, 2 * width)).sum(0)
        rows, columns = torch.arange(height // 2 + 1), torch.arange(-(width // 2), width // 2 + 1)
        overlap = (height - rows)[:, None] * (width - columns.abs())[None, :] / (height * width)
        found = products[rows][:, columns % (2 * width)] / overlap.to(products) / products[0, 0].clamp(min=1e-12)
        near = (rows < self.smallest)[:, None] & (columns.abs() < self.smallest)[None, :]
        without: Tensor = found.masked_fill(near.to(found.device), 0.0)
        return without
