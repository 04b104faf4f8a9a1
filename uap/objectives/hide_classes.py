"""Hiding classes: the image's own scene without them."""

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from uap.objectives.base import Mask, PredictionObjective, ReadTarget
from uap.objectives.classes import check_classes
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError, in_setting

MANY_REGIONS = 200
"""With more hidden regions than this, one box around all of them is searched: merging their boxes would take longer."""


def hidden_pixels(prediction: Mask, classes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (H, W), True on I_o: the pixels predicted as one of the hidden classes.

    Example:
        >>> hidden_pixels(np.array([[0, 2, 1]], np.uint8), (2,)).tolist()
        [[False, True, False]]
    """
    return np.isin(prediction, classes)


def fill_hidden(prediction: Mask, hidden: NDArray[np.bool_]) -> Mask:
    """Fill the hidden pixels with the prediction of the nearest background pixel (Metzen et al., sec. 3.1).

    Only the boxes around the hidden regions are searched.

    Args:
        prediction: (H, W) class ids.
        hidden: (H, W), True where the class is hidden; not everywhere.

    Returns:
        (H, W) class ids without hidden pixels.

    Example:
        >>> prediction = np.array([[0, 2, 2, 1, 1]], np.uint8)
        >>> fill_hidden(prediction, prediction == 2).tolist()
        [[0, 0, 1, 1, 1]]
    """
    target = prediction.copy()
    for top, bottom, left, right in _boxes(hidden):
        box = np.s_[top:bottom, left:right]
        nearest = distance_transform_edt(hidden[box], return_distances=False, return_indices=True)
        target[box] = prediction[box][tuple(nearest)]
    return target


def _boxes(hidden: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Return boxes (top, bottom, left, right) that hold all hidden pixels, of which no two share a pixel.

    Each has a border of one pixel that is not hidden, unless the image ends there. That is enough to find the nearest
    background pixel: were it further outside, the border's pixel on the way to it would be nearer.
    """
    stats = cv2.connectedComponentsWithStats(hidden.view(np.uint8), connectivity=8)[2]
    if len(stats) > MANY_REGIONS:
        rows, columns = np.flatnonzero(hidden.any(1)), np.flatnonzero(hidden.any(0))
        return [(max(rows[0] - 1, 0), rows[-1] + 2, max(columns[0] - 1, 0), columns[-1] + 2)]
    height, width = hidden.shape
    boxes: list[tuple[int, ...]] = []
    for left, top, wide, high, _ in stats[1:].tolist():  # the first is the background
        box = (max(top - 1, 0), min(top + high + 1, height), max(left - 1, 0), min(left + wide + 1, width))
        while touching := [other for other in boxes if _overlap(box, other)]:
            boxes = [other for other in boxes if other not in touching]
            tops, bottoms, lefts, rights = zip(box, *touching, strict=True)
            box = (min(tops), max(bottoms), min(lefts), max(rights))
        boxes.append(box)
    return boxes


def _overlap(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


class HideClasses(PredictionObjective):
    """Predict the scene without some classes: the dynamic target (Metzen et al., ICCV 2017, sec. 3.1).

    Background pixels keep their clean prediction. Pixels of the hidden classes get the prediction of the nearest
    background pixel (Euclidean distance, arXiv 1704.05712). The region of the goal are the hidden pixels.

    Args:
        hide: names of classes of the network, or of the same class in another data set.
        min_pixels: learn from images whose clean prediction has at least so many hidden pixels; the paper learns from
            the images that contain pedestrians.

    Raises:
        InputError: no class is given, or another value than a list of names.

    Example:
        >>> import numpy as np
        >>> from uap.utils.class_tables import LabelTable
        >>> objective = HideClasses(["person"])
        >>> objective.bind(LabelTable(("road", "sky", "person"), ((0, 0, 0),) * 3))
        >>> objective.make(np.array([[0, 2, 1, 1]], np.uint8))[0].tolist()
        [[0, 0, 1, 1]]
    """

    metrics: ClassVar[tuple[str, ...]] = ("hidden", "preserved", "remaining")
    has_region: ClassVar[bool] = True

    def __init__(self, hide: list[str], min_pixels: int = 1) -> None:
        """Name the classes."""
        if not hide:
            raise InputError(
                "HideClasses got no class to hide. Name one or more, such as hide: [person].",
                setting="model.objective.hide",
                kind="missing_setting",
            )
        check_classes("HideClasses", "model.objective.hide", hide, (str,))
        self.hide = hide
        self.min_pixels = min_pixels

    @property
    def title(self) -> str:
        """The objective in tables."""
        return f"hide {', '.join(self.hide)}"

    def translated(
        self, ids: Mask, own: LabelTable, other: LabelTable, size: tuple[int, int]
    ) -> tuple["HideClasses | None", str]:
        """Return the objective with the names of another network; None if it has none of the classes."""
        names = {name: int(ids[of_own]) for name, of_own in zip(self.hide, own.ids(self.hide), strict=True)}
        unknown = [name for name, of_other in names.items() if of_other == IGNORE]
        known = sorted({of_other for of_other in names.values() if of_other != IGNORE})
        note = f"this network has no class {', '.join(unknown)}" if unknown else ""
        if not known:
            return None, note
        found = HideClasses([other.names[c] for c in known], self.min_pixels)
        found.hidden_classes = tuple(known)
        return found, note

    def bind(self, table: LabelTable, read: ReadTarget | None = None) -> None:
        """Look the classes up.

        Raises:
            InputError: the network does not have one of them.
        """
        with in_setting("model.objective.hide"):
            self.hidden_classes = table.ids(self.hide)

    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the filled prediction and the hidden pixels; an image that is all hidden has no target, but 255."""
        if prediction is None:
            raise RuntimeError("HideClasses.make was called before there was a clean prediction")
        if not self.hidden_classes:
            raise InputError(
                "HideClasses needs the names of the network's classes. Wrap it in uap.Victim(classes=...).",
                kind="not_supported",
            )
        if prediction.ndim != 2:
            raise InputError(
                f"HideClasses needs predictions (H, W), got {prediction.shape}: only pixels have a nearest background.",
                kind="wrong_shape",
            )
        hidden = hidden_pixels(prediction, self.hidden_classes)
        return (np.full_like(prediction, IGNORE) if hidden.all() else fill_hidden(prediction, hidden)), hidden

    def usable(self, predictions: Mask) -> NDArray[np.bool_]:
        """Return True for images with enough hidden pixels and at least one other pixel."""
        counts = np.array([hidden_pixels(p, self.hidden_classes).sum() for p in predictions])
        usable: NDArray[np.bool_] = (counts >= self.min_pixels) & (counts < predictions[0].size)
        return usable
