"""The agreement of an image with a known perturbation."""

import torch
from torch import Tensor

from uap.detectors.base import Detector
from uap.detectors.residual import residual
from uap.objectives.base import Model
from uap.utils.errors import InputError


class KnownPattern(Detector):
    """Minus the largest correlation of the residual of an image with that of a perturbation, over all shifts.

    It finds a universal perturbation that the defender has seen, also after it was shifted cyclically.

    Args:
        pattern: the perturbation or its tile `(3, h, w)`, in grey levels; it is repeated to the size of the images.

    Raises:
        InputError: the pattern has another shape, or is not finite.

    Example:
        >>> pattern = torch.randint(-9, 10, (3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
        >>> images = torch.stack([torch.full((3, 16, 16), 99.0), 99 + pattern.roll(3, 2)])
        >>> KnownPattern(pattern)(lambda images: images, images).round(decimals=1).tolist()
        [-0.0, -1.0]
    """

    def __init__(self, pattern: Tensor) -> None:
        """Set the pattern."""
        if not isinstance(pattern, Tensor) or pattern.is_complex():
            raise InputError(
                f"KnownPattern got a {type(pattern).__name__}, expected a tensor (3, h, w) of real numbers.",
                setting="pattern",
                kind="wrong_type",
            )
        if pattern.ndim != 3 or pattern.shape[0] != 3 or not pattern.numel():
            raise InputError(
                f"KnownPattern got a pattern of the shape {tuple(pattern.shape)}, expected (3, h, w).",
                setting="pattern",
                kind="wrong_shape",
            )
        if not pattern.isfinite().all():
            raise InputError("KnownPattern got a pattern that is not finite.", setting="pattern", kind="not_finite")
        self.pattern = pattern.detach().float().cpu()

    def score(self, victim: Model, image: Tensor) -> float:
        """Return minus the largest correlation; see `Detector.score`."""
        height, width = image.shape[-2:]
        rows, columns = torch.arange(height) % self.pattern.shape[1], torch.arange(width) % self.pattern.shape[2]
        tiled = residual(self.pattern[:, rows][:, :, columns].to(image))
        own = residual(image[0])
        products = torch.fft.irfft2(torch.fft.rfft2(own) * torch.fft.rfft2(tiled).conj(), s=(height, width)).sum(0)
        length = float(own.square().sum().sqrt() * tiled.square().sum().sqrt())
        return -float(products.max()) / max(length, 1e-12)
