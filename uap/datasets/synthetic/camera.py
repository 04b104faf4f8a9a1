"""The pinhole camera behind the windshield.

World coordinates are in meters: x to the right of the camera, y up from the road, z forward.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
NEAREST = 1.2
"""Smallest depth of a projected point, in meters."""


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera.

    Attributes:
        width: width of the image, in pixels.
        height: height of the image, in pixels.
        focal: focal length, in pixels.
        center: column of the optical axis, in pixels.
        horizon: row of the horizon, in pixels.
        eye: height above the road, in meters.
        bend: curvature of the street; a point at depth z is shifted sideways by bend * z^2.
    """

    width: int
    height: int
    focal: float
    center: float
    horizon: float
    eye: float
    bend: float

    @property
    def unit(self) -> float:
        """Number of pixels of this image for one pixel of an image of width 512."""
        return self.width / 512

    def project(self, points: FloatArray) -> FloatArray:
        """Return the pixel coordinates (..., 2) of world points (..., 3). Depths are clipped to at least `NEAREST`."""
        depth = np.maximum(points[..., 2], NEAREST)
        flat = np.empty((*points.shape[:-1], 2))
        scale = self.focal / depth
        flat[..., 0] = points[..., 0] * scale + depth * (self.focal * self.bend) + self.center
        flat[..., 1] = (self.eye - points[..., 1]) * scale + self.horizon
        return flat

    def scale(self, z: float) -> float:
        """Return the number of pixels per meter at the distance z."""
        return self.focal / max(z, NEAREST)

    def first_seen(self, x: float) -> float:
        """Return the distance, in meters, from which the lateral position x is in the image."""
        room = self.width - self.center if x > 0 else self.center
        return abs(x) * self.focal / room

    def sees(self, x: float, z: float, margin: float = 0.0) -> bool:
        """Return whether a ground point is between the left and right edges of the image, up to a margin in meters."""
        column = self.center + self.focal * (x / z + self.bend * z)
        slack = margin * self.scale(z)
        return -slack < column < self.width + slack


def sample_camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    """Sample a camera for images of a size (height, width)."""
    height, width = size
    return Camera(
        width=width,
        height=height,
        focal=width * rng.uniform(0.8, 1.05),
        center=width * rng.uniform(0.42, 0.58),
        horizon=height * rng.uniform(0.38, 0.54),
        eye=rng.uniform(1.25, 1.9),
        bend=rng.normal(0.0, 0.0006),
    )


def ground_quads(x0: ArrayLike, x1: ArrayLike, z0: ArrayLike, z1: ArrayLike) -> FloatArray:
    """Return the corners (n, 4, 3) of rectangles on the ground, from edges in meters that are broadcast."""
    corners = np.zeros((*(np.broadcast(x0, x1, z0, z1).shape or (1,)), 4, 3))
    corners[:, 0, 0] = corners[:, 3, 0] = x0
    corners[:, 1, 0] = corners[:, 2, 0] = x1
    corners[:, 0, 2] = corners[:, 1, 2] = z0
    corners[:, 2, 2] = corners[:, 3, 2] = z1
    return corners
