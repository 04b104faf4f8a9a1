"""Spatial consistency of predictions on overlapping patches."""

import torch
from torch import Tensor

from uap.detectors.base import Detector
from uap.metrics.agreement import Over, mean_iou
from uap.objectives.base import Model
from uap.utils.errors import InputError
from uap.utils.numbers import check_number
from uap.utils.patches import advice, check_patches, patch_side, predictions
from uap.utils.sampling import image_generator


class SpatialConsistency(Detector):
    """Agreement of predictions on pairs of overlapping patches (Xiao et al., ECCV 2018, sec. 3.2, arXiv 1810.05162).

    The network sees each patch as an image of its own. The second patch of a pair lies further down and to the right by
    a random shift. The score is the mean over pairs of the mIoU of both predictions on the overlap. Each image has its
    own random pairs, also the benign and the attacked version of one: they depend on its pixels and the seed alone.

    Args:
        patches: number of pairs; the paper has up to 50.
        size: side of a patch in pixels; None for half the shorter side of the image, as in the paper.
        multiple: sides of patches are multiples of this number, if `size` is None.
        smallest_shift: smallest shift in rows and in columns as a share of the side; 32 of 512 pixels in the paper.
        largest_shift: largest shift; 64 of 512 pixels in the paper.
        over: the mIoU is over the classes that either patch has on the overlap (`union`), or over those that both have.
        seed: of positions and shifts.

    Raises:
        InputError: a value is out of range, or a pair does not fit into an image.

    Example:
        >>> scores = SpatialConsistency(patches=3)(torch.nn.Conv2d(3, 2, 1), torch.full((2, 3, 64, 96), 9.0))
        >>> scores.tolist()  # a network that sees single pixels is consistent
        [1.0, 1.0]
    """

    def __init__(
        self,
        patches: int = 50,
        size: int | None = None,
        multiple: int = 8,
        smallest_shift: float = 1 / 16,
        largest_shift: float = 1 / 8,
        over: Over = "union",
        seed: int = 0,
    ) -> None:
        """Set patches, shifts and seed."""
        check_patches("SpatialConsistency", patches, size, multiple, seed)
        check_number("SpatialConsistency", "smallest_shift", smallest_shift, above=0, below=1)
        check_number("SpatialConsistency", "largest_shift", largest_shift, smallest_shift, below=1)
        self.patches = patches
        self.size = size
        self.multiple = multiple
        self.smallest_shift = smallest_shift
        self.largest_shift = largest_shift
        self.over: Over = over
        self.seed = seed

    def score(self, victim: Model, image: Tensor) -> float:
        """Return the mean mIoU of the overlaps; see `Detector.score`."""
        corners, shifts, side = self.pairs(image[0])
        both = torch.stack([corners, corners + shifts], dim=1).flatten(0, 1)  # a pair is two rows
        predicted = predictions(victim, image[0], both, side).view(-1, 2, side, side)
        values = [
            mean_iou(first[None, down:, right:], second[None, : side - down, : side - right], self.over)
            for (first, second), (down, right) in zip(predicted, shifts.tolist(), strict=True)
        ]
        return float(torch.cat(values).mean())

    def pairs(self, image: Tensor) -> tuple[Tensor, Tensor, int]:
        """Return corners and shifts `(patches, 2)` int64 (rows, columns) of the pairs, and the side of a patch.

        Args:
            image: `(3, H, W)` float32.

        Raises:
            InputError: a pair does not fit into the image.
        """
        height, width = image.shape[-2:]
        side = self.size or patch_side(height, width, self.multiple)
        low, high = (max(1, round(share * side)) for share in (self.smallest_shift, self.largest_shift))
        room = torch.tensor([height - side - high, width - side - high])
        if int(room.min()) < 0 or high >= side:
            raise InputError(
                f"Two patches of {side} pixels, shifted by up to {high}, do not fit into images of {height} x {width}. "
                f"{advice(self.size)}",
                setting="size",
                kind="out_of_range",
            )
        generator = image_generator(self.seed, image)
        shifts = torch.randint(low, high + 1, (self.patches, 2), generator=generator)
        corners = (torch.rand(self.patches, 2, generator=generator) * (room + 1)).long()
        return corners, shifts, side
