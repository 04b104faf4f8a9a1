"""The canvas: colors and labels are painted together, so that image and labels agree."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from uap.datasets.synthetic.camera import Camera, FloatArray
from uap.datasets.synthetic.light import Color, Light, dim

SUPERSAMPLING = 2
SHIFT = 4  # number of fractional bits in the fixed-point coordinates of OpenCV
FIXED = SUPERSAMPLING << SHIFT
THINNEST = 2.6  # pixels at width 512: a network does not see thinner strokes
Point = tuple[float, float]


def to_fixed(outlines: FloatArray) -> NDArray[np.int32]:
    """Return pixel coordinates as fixed-point coordinates of the canvas."""
    return np.rint(outlines * FIXED).astype(np.int32)


class Canvas:
    """A canvas of twice the size of the image, with four channels: red, green, blue and train id.

    Attributes:
        camera: camera that projects world coordinates.
        light: light and haze.
        distance: distance of the painted object in meters; it determines the haze.
        pixels: (2 height, 2 width, 4) uint8.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        """Create a black canvas."""
        self.camera = camera
        self.light = light
        self.distance = 0.0
        self.pixels = np.zeros((SUPERSAMPLING * camera.height, SUPERSAMPLING * camera.width, 4), np.uint8)

    def tone(self, color: Color, label: int, glow: bool = False) -> tuple[float, float, float, int]:
        """Return a color under the light and the haze, with the label as fourth channel."""
        keep = math.exp(-self.light.fog * self.distance)
        haze = self.light.haze
        red, green, blue = (1.0, 1.0, 1.0) if glow else self.light.ambient
        return (
            min(255.0, keep * color[0] * red + (1 - keep) * haze[0]),
            min(255.0, keep * color[1] * green + (1 - keep) * haze[1]),
            min(255.0, keep * color[2] * blue + (1 - keep) * haze[2]),
            label,
        )

    def polygons(self, outlines: FloatArray, color: Color, label: int, glow: bool = False) -> None:
        """Fill polygons (n, corners, 2) in pixel coordinates. They must not overlap each other."""
        self.fill(list(to_fixed(outlines)), color, label, glow)

    def fill(self, outlines: list[NDArray[np.int32]], color: Color, label: int, glow: bool = False) -> None:
        """Fill polygons (corners, 2) in fixed-point coordinates."""
        cv2.fillPoly(self.pixels, outlines, self.tone(color, label, glow), cv2.LINE_8, SHIFT)

    def surfaces(self, corners: FloatArray, color: Color, label: int, glow: bool = False) -> None:
        """Fill polygons (n, corners, 3) in world coordinates."""
        if len(corners):
            self.polygons(self.camera.project(corners), color, label, glow)

    def veil(self, outline: FloatArray, color: Color, label: int, opacity: float) -> None:
        """Blend a polygon (corners, 2) in pixel coordinates with the background. Its label is opaque."""
        fixed = to_fixed(outline)
        low = np.maximum((fixed.min(axis=0) >> SHIFT) - 1, 0)
        high = np.maximum((fixed.max(axis=0) >> SHIFT) + 2, 0)
        window = self.pixels[low[1] : high[1], low[0] : high[0]]
        if window.size:
            filled = window.copy()
            cv2.fillPoly(filled, [fixed - (low << SHIFT)], self.tone(color, label), cv2.LINE_8, SHIFT)
            mixed = cv2.addWeighted(filled, opacity, window, 1 - opacity, 0)
            mixed[..., 3] = filled[..., 3]
            window[:] = mixed

    def develop(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the image (height, width, 3) and the train ids (height, width), both uint8."""
        size = (self.camera.width, self.camera.height)
        image = cv2.cvtColor(cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGBA2RGB)
        labels = self.pixels[1::SUPERSAMPLING, 1::SUPERSAMPLING, 3]
        return np.asarray(image, np.uint8), np.ascontiguousarray(labels)


class Billboard:
    """A flat object that stands on the ground and faces the camera. Its coordinates are in meters: x right, y up."""

    def __init__(self, canvas: Canvas, x: float, z: float, size: float = 1.0, facing: float = 1.0) -> None:
        """Create an object at the ground point (x, z).

        Args:
            canvas: canvas that is painted.
            x: lateral position, in meters.
            z: distance, in meters.
            size: factor on all lengths.
            facing: factor on x: -1 mirrors the object, 0.5 foreshortens it.
        """
        foot = canvas.camera.project(np.array([x, 0.0, z]))
        self.canvas = canvas
        self.column, self.row = float(foot[0]), float(foot[1])
        self.scale = size * canvas.camera.scale(z)
        self.facing = facing
        self.thinnest = THINNEST * canvas.camera.unit

    def to_pixels(self, point: Point) -> Point:
        """Return the pixel coordinates of a point of the object."""
        return self.column + self.facing * self.scale * point[0], self.row - self.scale * point[1]

    def fixed(self, point: Point) -> tuple[int, int]:
        """Return the fixed-point coordinates of a point of the object."""
        column, row = self.to_pixels(point)
        return round(column * FIXED), round(row * FIXED)

    def polygon(self, points: list[Point], color: Color, label: int, glow: bool = False) -> None:
        """Fill a polygon."""
        fixed = np.array([self.fixed(point) for point in points], np.int32)
        self.canvas.fill([fixed], color, label, glow)

    def veil(self, points: list[Point], color: Color, label: int, opacity: float) -> None:
        """Blend a polygon with the background."""
        self.canvas.veil(np.array([self.to_pixels(point) for point in points]), color, label, opacity)

    def line(self, start: Point, end: Point, width: float, color: Color, label: int) -> None:
        """Paint a straight stroke with round ends, with a width of at least `THINNEST`."""
        thickness = round(SUPERSAMPLING * max(width * self.scale, self.thinnest))
        tone = self.canvas.tone(color, label)
        cv2.line(self.canvas.pixels, self.fixed(start), self.fixed(end), tone, max(1, thickness), cv2.LINE_8, SHIFT)

    def ring(self, center: Point, radius: float, width: float, color: Color, label: int) -> None:
        """Paint the rim of a wheel."""
        middle = self.fixed(center)
        axes = round(abs(self.facing) * self.scale * radius * FIXED), round(self.scale * radius * FIXED)
        thickness = round(SUPERSAMPLING * max(width * self.scale, self.thinnest / 2))
        tone = self.canvas.tone(color, label)
        cv2.ellipse(self.canvas.pixels, middle, axes, 0, 0, 360, tone, max(1, thickness), cv2.LINE_8, SHIFT)

    def limb(self, start: Point, end: Point, width: float, color: Color, label: int) -> None:
        """Paint a stroke that looks round: dark, with a lighter core towards the sun."""
        self.line(start, end, width, dim(color, 0.74), label)
        if width * self.scale > self.thinnest * 1.5:
            shift = 0.16 * width * self.canvas.light.sun_side / (self.facing or 1.0)
            lit = (start[0] + shift, start[1]), (end[0] + shift, end[1])
            self.line(lit[0], lit[1], 0.6 * width, color, label)

    def ellipse(
        self, center: Point, radii: Point, color: Color, label: int, angle: float = 0.0, glow: bool = False
    ) -> None:
        """Fill an ellipse. The angle is in degrees, clockwise unless the object is mirrored."""
        axes = (
            round(abs(self.facing) * self.scale * radii[0] * FIXED),
            round(self.scale * radii[1] * FIXED),
        )
        turn = angle if self.facing >= 0 else -angle
        tone = self.canvas.tone(color, label, glow)
        cv2.ellipse(self.canvas.pixels, self.fixed(center), axes, turn, 0, 360, tone, -1, cv2.LINE_8, SHIFT)
