"""Spatial consistency of predictions on overlapping patches."""

import torch
from torch import Tensor

from uap.detectors.base import Detector
from uap.metrics.agreement import Over, mean_iou
from uap.objectives.base import Model
from uap.utils.errors import InputError
from uap.utils.patches import check_patches, patch_side, predictions

SHIFT_SHARES = (1 / 16, 1 / 8)
"""The shifts of the paper (32 to 64 pixels) as shares of the side of its patches (512 pixels)."""


class SpatialConsistency(Detector):
    """Agreement of predictions on pairs of overlapping patches (Xiao et al., ECCV 2018, sec. 3.2, arXiv 1810.05162).

    The network sees each patch as an image of its own. The second patch of a pair lies further down and to the right by
    a random shift. The score is the mean over pairs of the mIoU of both predictions on the overlap.

    Args:
        patches: number of pairs; the paper has up to 50.
        size: side of a patch in pixels; None for half the height of the image, as in the paper.
        multiple: sides of patches are multiples of this number, if `size` is None.
        over: the mIoU is over the classes that either patch has on the overlap (`union`), or over those that both have.
        seed: of positions and shifts; every image gets the same ones.

    Raises:
        InputError: no patch, or a patch that does not fit into an image.

    Example:
        >>> scores = SpatialConsistency(patches=3)(torch.nn.Conv2d(3, 2, 1), torch.full((2, 3, 64, 96), 9.0))
        >>> scores.tolist()  # a network that sees single pixels is consistent
        [1.0, 1.0]
    """

    def __init__(
        self, patches: int = 50, size: int | None = None, multiple: int = 8, over: Over = "union", seed: int = 0
    ) -> None:
        """Set patches and seed."""
        check_patches("SpatialConsistency", patches, size, multiple, seed)
        self.patches = patches
        self.size = size
        self.multiple = multiple
        self.over: Over = over
        self.seed = seed

    def score(self, victim: Model, image: Tensor) -> float:
        """Return the mean mIoU of the overlaps; see `Detector.score`."""
        corners, shifts, side = self.pairs(image.shape[-2], image.shape[-1])
        both = torch.stack([corners, corners + shifts], dim=1).flatten(0, 1)  # a pair is two rows
        predicted = predictions(victim, image[0], both, side).view(-1, 2, side, side)
        values = [
            mean_iou(first[None, down:, right:], second[None, : side - down, : side - right], self.over)
            for (first, second), (down, right) in zip(predicted, shifts.tolist(), strict=True)
        ]
        return float(torch.cat(values).mean())

    def pairs(self, height: int, width: int) -> tuple[Tensor, Tensor, int]:
        """Return corners and shifts `(patches, 2)` int64 (rows, columns) of the pairs, and the side of a patch.

        Raises:
            InputError: a pair does not fit into the image.
        """
        side = self.size or patch_side(height, self.multiple)
        low, high = (max(1, round(share * side)) for share in SHIFT_SHARES)
        room = torch.tensor([height - side - high, width - side - high])
        if int(room.min()) < 0 or high >= side:
            raise InputError(
                f"Two patches of {side} pixels, shifted by up to {high}, do not fit into images of {height} x {width}. "
                "Set a smaller size.",
                setting="size",
                kind="out_of_range",
            )
        generator = torch.Generator().manual_seed(self.seed)
        shifts = torch.randint(low, high + 1, (self.patches, 2), generator=generator)
        corners = (torch.rand(self.patches, 2, generator=generator) * (room + 1)).long()
        return corners, shifts, side
