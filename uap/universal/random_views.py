"""Random shifts of a proto-tile and random scales of images while a perturbation is learned."""

from dataclasses import dataclass, replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from uap.objectives.base import Goal
from uap.utils.errors import InputError


def random_shift(seed: list[int], size: tuple[int, int]) -> tuple[int, int]:
    """Return a shift of a proto-tile, down and to the right, uniform over all its positions.

    Args:
        seed: numbers that the shift depends on, such as a seed and a step.
        size: height and width of the proto-tile.

    Example:
        >>> random_shift([0, 5], (32, 32)) == random_shift([0, 5], (32, 32))
        True
    """
    down, right = np.random.default_rng(seed).integers(size)
    return int(down), int(right)


def check_scales(scales: tuple[float, float], setting: str) -> None:
    """Check a range of scales.

    Raises:
        InputError: the smallest scale is not above 0, or above the largest one.
    """
    if not 0 < scales[0] <= scales[1] < float("inf"):
        raise InputError(
            f"{setting} is {list(scales)}, expected the smallest and the largest scale, above 0, such as [0.75, 1.5].",
            setting=setting,
            kind="out_of_range",
        )


@dataclass(frozen=True)
class ScaledView:
    """Images resized by a factor, and a part of them if they became larger.

    The perturbation is added afterwards, so it meets objects of another size, and has its own resolution. The part has
    the size of the images before, so a step needs no more memory.

    Attributes:
        scale: the factor.
        place: where the part lies, from 0 (top, left) to 1 (bottom, right).

    Example:
        >>> import torch
        >>> ScaledView(1.5, (0.5, 0.5)).images(torch.full((1, 3, 8, 16), 9.0)).shape
        torch.Size([1, 3, 8, 16])
        >>> ScaledView(0.5, (0.0, 0.0)).images(torch.full((1, 3, 8, 16), 9.0)).shape
        torch.Size([1, 3, 4, 8])
    """

    scale: float
    place: tuple[float, float]

    @staticmethod
    def random(seed: list[int], scales: tuple[float, float]) -> "ScaledView":
        """Return a view whose scale is uniform between the smallest and the largest of `scales`."""
        share, down, right = np.random.default_rng([*seed, 1]).random(3)  # another stream than that of the shift
        return ScaledView(scales[0] + float(share) * (scales[1] - scales[0]), (float(down), float(right)))

    def images(self, images: Tensor) -> Tensor:
        """Return the part `(N, 3, h, w)` float32 of the resized images `(N, 3, H, W)`, 0 to 255."""
        size = self._size(images)
        resized = F.interpolate(images.float(), size, mode="bilinear", align_corners=False, antialias=True)
        return self._part(resized, images)

    def goal(self, goal: Goal, images: Tensor) -> Goal:
        """Return the goal with its labels and its region resized by nearest neighbors, for the same part.

        Args:
            goal: the goal for the images in their own size; its locations are those of the pixels.
            images: `(N, 3, H, W)` in their own size.

        Raises:
            InputError: the locations of the goal are not the pixels of the images.
        """
        if goal.labels.shape[1:] != images.shape[-2:]:
            raise InputError(
                f"The predictions have the locations {tuple(goal.labels.shape[1:])}, but random scales need one for "
                f"each of {tuple(images.shape[-2:])} pixels. Learn without random scales.",
                setting="model.random_scale",
                kind="not_supported",
            )
        region = None if goal.region is None else self._nearest(goal.region, images) > 0
        return replace(goal, labels=self._nearest(goal.labels, images).long(), region=region)

    def _nearest(self, values: Tensor, images: Tensor) -> Tensor:
        resized = F.interpolate(values[:, None].float(), self._size(images), mode="nearest-exact")
        return self._part(resized, images)[:, 0]

    def _size(self, images: Tensor) -> tuple[int, int]:
        height, width = images.shape[-2:]
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))

    def _part(self, resized: Tensor, images: Tensor) -> Tensor:
        height, width = (
            min(own, of_image) for own, of_image in zip(resized.shape[-2:], images.shape[-2:], strict=True)
        )
        top = round(self.place[0] * (resized.shape[-2] - height))
        left = round(self.place[1] * (resized.shape[-1] - width))
        return resized[..., top : top + height, left : left + width]
