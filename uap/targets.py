"""What the network is to draw instead: targets made from its own clean predictions, never from labels."""

import abc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from uap.errors import InputError
from uap.labels import IGNORE, LabelTable

Mask = NDArray[np.uint8]
MANY_REGIONS = 200
"""Of more than so many hidden regions one box around all is searched: to merge theirs would take longer."""

ReadTarget = Callable[[Path, bool], Mask]
"""Gives class ids (H, W): (path, True) the victim's prediction on a picture, (path, False) those of a label PNG."""


def hidden_pixels(prediction: Mask, classes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (H, W), True on I_o: the pixels predicted as one of the hidden classes."""
    return np.isin(prediction, classes)


def fill_hidden(prediction: Mask, hidden: NDArray[np.bool_]) -> Mask:
    """Fill the hidden pixels with the prediction of the nearest background pixel (Metzen et al., sec. 3.1).

    Only the boxes around the hidden regions are searched.

    Args:
        prediction: (H, W) class ids.
        hidden: (H, W), True where the class is to vanish; not everywhere.

    Returns:
        (H, W) class ids without hidden pixels.
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


class Target(abc.ABC):
    """Makes the target of an image from its clean prediction."""

    hidden_classes: tuple[int, ...] = ()
    """The class ids that are to vanish; empty for a static target."""

    @abc.abstractmethod
    def prepare(self, table: LabelTable, read: ReadTarget) -> None:
        """Learn the victim's classes and read what the target is made from, once before `make`.

        Raises:
            InputError: the target does not fit the victim or the data.
        """

    @abc.abstractmethod
    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the target (H, W) and the hidden pixels I_o (H, W) for a clean prediction (H, W).

        None stands for a prediction that is not made yet, which a target without hidden classes does without.
        """

    @abc.abstractmethod
    def usable(self, predictions: Mask) -> NDArray[np.bool_]:
        """Return (N,), True for the images that something can be learnt from, given clean predictions (N, H, W)."""


class StaticTarget(Target):
    """One scene for every image: a label file, or the victim's own prediction on a frame (t0)."""

    def __init__(self, image: str | None = None, labels: str | None = None) -> None:
        """Name the scene.

        Args:
            image: a picture; the target is the victim's prediction on it. Relative paths may start in the data's root.
            labels: a PNG of the data set's label ids, ignored pixels count nowhere.

        Raises:
            InputError: neither or both are given.
        """
        if (image is None) == (labels is None):
            raise InputError(
                f"A static target got image={image} and labels={labels}, expected one of the two. Set "
                "one, and the other to null."
            )
        self.path = Path(image or labels or "")
        self.is_image = image is not None
        self.scene: Mask | None = None

    def prepare(self, table: LabelTable, read: ReadTarget) -> None:
        """Read the scene, unless it is there already: that of a perturbation that was learnt before."""
        if self.scene is None:
            self.scene = read(self.path, self.is_image)
        if (self.scene == IGNORE).all():
            raise InputError(f"{self.path} labels no pixel with a class of the network: {', '.join(table.names)}.")
        if (self.scene[self.scene != IGNORE] >= len(table)).any():
            raise InputError(
                f"The scene of {self.path} has classes that the network does not know: {', '.join(table.names)}. "
                "It was learnt for another network: learn it again with python -m uap.fit."
            )

    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the scene, and no hidden pixels."""
        if self.scene is None:
            raise RuntimeError("StaticTarget.make was called before prepare")
        return self.scene, np.zeros(self.scene.shape, np.bool_)

    def usable(self, predictions: Mask) -> NDArray[np.bool_]:
        """Return True for every image."""
        return np.ones(len(predictions), np.bool_)


class DynamicTarget(Target):
    """The image's own scene without some classes, the gaps filled with the nearest background prediction."""

    def __init__(self, hide: list[str], min_pixels: int = 1) -> None:
        """Name the classes that are to vanish.

        Args:
            hide: names of the victim's classes.
            min_pixels: learn from images whose clean prediction has at least so many pixels of them; the paper learns
                from the images that contain pedestrians.

        Raises:
            InputError: no class is given.
        """
        if not hide:
            raise InputError("A dynamic target got no class to hide. Name one or more, such as hide: [person].")
        self.hide = hide
        self.min_pixels = min_pixels

    def prepare(self, table: LabelTable, read: ReadTarget) -> None:
        """Look the classes up in the victim's table."""
        self.hidden_classes = table.ids(self.hide)

    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the filled prediction and the hidden pixels; an image that is all hidden has no target, but 255."""
        if prediction is None:
            raise RuntimeError("DynamicTarget.make was called before there was a clean prediction")
        hidden = hidden_pixels(prediction, self.hidden_classes)
        return (np.full_like(prediction, IGNORE) if hidden.all() else fill_hidden(prediction, hidden)), hidden

    def usable(self, predictions: Mask) -> NDArray[np.bool_]:
        """Return True for images with enough hidden pixels and at least one of background."""
        counts = np.array([hidden_pixels(p, self.hidden_classes).sum() for p in predictions])
        usable: NDArray[np.bool_] = (counts >= self.min_pixels) & (counts < predictions[0].size)
        return usable
