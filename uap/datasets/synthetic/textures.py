"""Noise, of which every scene takes crops. It is computed once in a process, from fixed seeds."""

from functools import cache
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)
SLACK = 96  # pixels by which the noise is larger than a crop, so that crops differ


@cache
def fractal(height: int, width: int, coarsest: int, finest: int, seed: int) -> NDArray[np.float32]:
    """Return smooth noise, (height, width) float32 with mean 0 and standard deviation 1.

    Args:
        height: in pixels.
        width: in pixels.
        coarsest: size of the largest structures, in pixels.
        finest: size of the smallest structures, in pixels.
        seed: seed of the noise.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    blob = coarsest
    while blob >= finest:
        grid = rng.standard_normal((height // blob + 2, width // blob + 2), np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(blob**0.5)
        blob //= 2
    total -= total.mean()
    return np.asarray(total / total.std(), np.float32)


@cache
def sensor_noise(height: int, width: int) -> NDArray[np.uint8]:
    """Return white noise, (height, width, 3) uint8 with mean 128 and standard deviation 32."""
    noise = np.random.default_rng(7).standard_normal((height, width, 3))
    return np.clip(np.rint(128 + 32 * noise), 0, 255).astype(np.uint8)


def crop_of(tile: NDArray[Pixel], height: int, width: int, rng: np.random.Generator) -> NDArray[Pixel]:
    """Return a random crop of an array, as a view."""
    top = int(rng.integers(tile.shape[0] - height + 1))
    left = int(rng.integers(tile.shape[1] - width + 1))
    return tile[top : top + height, left : left + width]
