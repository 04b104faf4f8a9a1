"""The object that each pixel of a canvas shows."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from uap.datasets.synthetic.canvas import SUPERSAMPLING, Canvas

UNPAINTED = 255
"""A label that no object has: it marks the pixels that an object leaves alone."""


class Instances:
    """Numbers the objects that are painted on a canvas, and keeps for each pixel the last one that painted it."""

    def __init__(self, canvas: Canvas) -> None:
        """Number the objects of a canvas from 1; the surroundings are 0."""
        self.canvas = canvas
        self.numbers = np.zeros(canvas.pixels.shape[:2], np.uint8)
        self.count = 0

    @contextmanager
    def next(self) -> Iterator[None]:
        """Number the object that is painted in this context."""
        self.count += 1
        labels = self.canvas.pixels[..., 3]
        before = labels.copy()
        labels[:] = UNPAINTED
        yield
        unpainted = labels == UNPAINTED
        np.copyto(labels, before, where=unpainted)
        self.numbers[~unpainted] = self.count

    def develop(self) -> NDArray[np.uint8]:
        """Return the numbers (height, width) at the pixels at which `Canvas.develop` takes the labels."""
        return np.ascontiguousarray(self.numbers[1::SUPERSAMPLING, 1::SUPERSAMPLING])
