"""A network on several scales of the image."""

import math
from functools import reduce
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.utils.errors import InputError
from uap.victims.victim import Victim
from uap.victims.wrapped import WrappedVictim


class Multiscale(WrappedVictim):
    """Fuses the logits of a victim on several scales of the image (Arnab et al., CVPR 2018, sec. 6, arXiv 1711.09856).

    The image is resized bilinearly to each scale, with a low-pass filter where it shrinks, as Pillow does. The logits
    are resized to the size of the image and fused by their maximum, as in DeepLab v2, or by their mean. The gradient
    flows through the resizing. One scale alone is a victim too, such as `scales=(0.5,)`.

    Example:
        >>> victim = Victim(torch.nn.Conv2d(3, 2, 1), classes=["road", "sky"])
        >>> Multiscale(victim)(torch.zeros(1, 3, 8, 12)).shape
        torch.Size([1, 2, 8, 12])
    """

    def __init__(
        self, victim: Victim, scales: tuple[float, ...] = (0.5, 0.75, 1.0), fuse: Literal["max", "mean"] = "max"
    ) -> None:
        """Set the scales.

        Args:
            victim: the network.
            scales: factors of height and width.
            fuse: `max` or `mean` of the logits.

        Raises:
            InputError: no scale, a scale that is not above 0, or an unknown fusion.
        """
        super().__init__(victim)
        if not scales or not all(0 < scale < math.inf for scale in scales) or fuse not in ("max", "mean"):
            raise InputError(
                f"Multiscale got scales={list(scales)} and fuse={fuse!r}, expected factors above 0, and max or mean.",
                setting="scales",
                kind="out_of_range",
            )
        self.scales = tuple(scales)
        self.fuse = fuse

    def settings(self) -> list[Any]:
        """Return scales and fusion."""
        return [list(self.scales), self.fuse]

    def forward(self, images: Tensor) -> Tensor:
        """Return the fused logits `(N, C, H, W)` for images `(N, 3, H, W)`.

        Raises:
            InputError: the image is too small for a scale.
        """
        logits = [self._at(scale, images) for scale in self.scales]
        if self.fuse == "max":
            return reduce(torch.maximum, logits)
        return reduce(torch.add, logits) / len(logits)

    def _at(self, scale: float, images: Tensor) -> Tensor:
        """Return the logits of one scale, at the size of the image."""
        size = (images.shape[-2], images.shape[-1])
        scaled = (round(size[0] * scale), round(size[1] * scale))
        if min(scaled) < 1:
            raise InputError(
                f"Images of {size[0]} x {size[1]} are too small for the scale {scale:g}.",
                setting="images",
                kind="wrong_shape",
            )
        if scaled == size:
            logits: Tensor = self.victim(images)
            return logits
        return _resize(self.victim(_resize(images, scaled, antialias=True)), size, antialias=False)


def _resize(x: Tensor, size: tuple[int, int], *, antialias: bool) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=antialias)
