"""The boxes that a detection network finds in an image, or that an image contains."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from uap.utils.errors import InputError


@dataclass(frozen=True)
class Detections:
    """Boxes of one image.

    Attributes:
        boxes: `(K, 4)` float32, left, top, right and bottom edge in pixels of the image.
        classes: `(K,)` int64, class ids.
        scores: `(K,)` float32, 0 to 1; 1 for objects that the image is known to contain.

    Raises:
        InputError: the shapes do not fit, a box is not finite or has no area, or a class id is below 0.

    Example:
        >>> Detections(torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([1])).scores.tolist()
        [1.0]
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        """Check the values."""
        if len(self.scores) == 0:
            object.__setattr__(self, "scores", torch.ones(len(self.boxes), device=self.boxes.device))
        shapes = tuple(self.boxes.shape), tuple(self.classes.shape), tuple(self.scores.shape)
        count = len(self.boxes)
        if shapes != ((count, 4), (count,), (count,)):
            raise InputError(
                f"Boxes, classes and scores have the shapes {shapes}, expected (K, 4), (K,) and (K,).",
                setting="boxes",
                kind="wrong_shape",
            )
        left, top, right, bottom = self.boxes.unbind(1)
        if not (self.boxes.isfinite().all() and (right > left).all() and (bottom > top).all()):
            wrong = self.boxes[~(self.boxes.isfinite().all(1) & (right > left) & (bottom > top))][0].tolist()
            raise InputError(
                f"The box {wrong} has no area or is not finite, expected left, top, right, bottom with left < right "
                "and top < bottom, in pixels.",
                setting="boxes",
                kind="out_of_range",
            )
        if count and self.classes.min() < 0:
            raise InputError(
                f"The class id {int(self.classes.min())} does not exist, expected 0 or more.",
                setting="classes",
                kind="out_of_range",
            )

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.boxes)
