"""Random shifts of a proto-tile, and random scales and crops of images, while a perturbation is learned."""

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


@dataclass(frozen=True)
class RandomViews:
    """Random scales and random crops of the images, to which a perturbation is added while it is learned.

    Args:
        scale: smallest and largest factor by which the images are resized; None for no resizing.
        crop: height and width of the part that a step sees; None for the size of the images.
        tile: height and width of the proto-tile.

    Raises:
        InputError: the smallest scale is not above 0, or above the largest one; or the crop is smaller than the tile.

    Example:
        >>> RandomViews(None, (256, 256), (128, 128)).draw([0, 5]).scale
        1.0
        >>> RandomViews(None, None, (128, 128)).draw([0, 5]) is None
        True
    """

    scale: tuple[float, float] | None
    crop: tuple[int, int] | None
    tile: tuple[int, int]

    def __post_init__(self) -> None:
        """Check the values."""
        if self.scale and not 0 < self.scale[0] <= self.scale[1] < float("inf"):
            raise InputError(
                f"random_scale is {list(self.scale)}, expected the smallest and the largest scale, above 0, such as "
                "[0.75, 1.5].",
                setting="model.random_scale",
                kind="out_of_range",
            )
        if self.crop and (self.crop[0] < self.tile[0] or self.crop[1] < self.tile[1]):
            raise InputError(
                f"random_crop is {list(self.crop)}, smaller than the tile, {list(self.tile)}: a part of the tile would "
                "not be learned. Give a larger crop, or a smaller tile with model.tile.",
                setting="model.random_crop",
                kind="out_of_range",
            )

    def draw(self, seed: list[int]) -> "View | None":
        """Return a view whose scale and place are uniform, or None if the images are seen as they are.

        Args:
            seed: numbers that the view depends on, such as a seed and a step.
        """
        if self.scale is None and self.crop is None:
            return None
        share, down, right = np.random.default_rng([*seed, 1]).random(3)  # another stream than that of the shift
        low, high = self.scale or (1.0, 1.0)
        return View(low + float(share) * (high - low), (float(down), float(right)), self.crop)


@dataclass(frozen=True)
class View:
    """Images resized by a factor, and a part of them.

    The perturbation is added afterwards, so it meets objects of another size, and has its own resolution. The part is
    no larger than the images before, so a step needs no more memory.

    Attributes:
        scale: the factor.
        place: where the part lies, from 0 (top, left) to 1 (bottom, right).
        crop: height and width of the part; None for the size of the images before.

    Example:
        >>> import torch
        >>> images = torch.full((1, 3, 8, 16), 9.0)
        >>> View(1.5, (0.5, 0.5)).images(images).shape
        torch.Size([1, 3, 8, 16])
        >>> View(0.5, (0.0, 0.0)).images(images).shape
        torch.Size([1, 3, 4, 8])
        >>> View(1.0, (0.0, 0.0), (4, 4)).images(images).shape
        torch.Size([1, 3, 4, 4])
    """

    scale: float
    place: tuple[float, float]
    crop: tuple[int, int] | None = None

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
                f"The predictions have the locations {tuple(goal.labels.shape[1:])}, but random scales and crops "
                f"need one for each of {tuple(images.shape[-2:])} pixels. Learn without random_scale and random_crop.",
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
        crop = self.crop or resized.shape[-2:]
        height, width = map(min, resized.shape[-2:], images.shape[-2:], crop)
        top = round(self.place[0] * (resized.shape[-2] - height))
        left = round(self.place[1] * (resized.shape[-1] - width))
        return resized[..., top : top + height, left : left + width]
