"""Cars and buses: side profiles, extruded to their width and projected face by face."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from uap.datasets.synthetic.camera import FloatArray
from uap.datasets.synthetic.canvas import Canvas, to_fixed
from uap.datasets.synthetic.ids import BUS, CAR
from uap.datasets.synthetic.light import Color, Light, blend, dim, pick, vary
from uap.datasets.synthetic.shapes import COACH, Shape

PAINTS: tuple[Color, ...] = (
    (36, 38, 42), (206, 206, 204), (132, 136, 140), (150, 30, 32), (34, 58, 112), (84, 90, 96),
    (228, 228, 224), (60, 92, 78), (196, 168, 60), (120, 100, 80), (92, 130, 168), (204, 104, 40),
)  # fmt: skip
LIVERIES: tuple[Color, ...] = (
    (178, 34, 36), (226, 184, 40), (222, 222, 218), (40, 84, 152), (44, 120, 76), (216, 118, 44),
    (150, 154, 158),
)  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A flat polygon of a vehicle.

    Attributes:
        points: (n, 3) in the frame of the vehicle, in meters: right, up, forward.
        material: name of its material.
        shade: factor on the color of the material.
    """

    points: FloatArray
    material: str
    shade: float = 1.0


def render_vehicle(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, shape: Shape, heading: float = 0.0
) -> None:
    """Render a vehicle at the ground point (x, z). Heading 0 is away from the camera, pi towards it."""
    faces, points, starts, ends = _geometry(shape)
    sine, cosine = np.sin(heading), np.cos(heading)
    turned = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
    flat = canvas.camera.project(points @ turned + np.array([x, 0.0, z]))
    areas = _areas(flat, starts, ends)
    fixed, label = to_fixed(flat), BUS if shape is COACH else CAR
    materials, glowing = _materials(rng, canvas.light, LIVERIES if shape is COACH else PAINTS, shape is COACH)
    for index in np.flatnonzero(areas > 0):
        face = faces[index]
        color = dim(materials[face.material], face.shade)
        canvas.fill([fixed[starts[index] : ends[index]]], color, label, face.material in glowing)


def _materials(
    rng: np.random.Generator, light: Light, paints: tuple[Color, ...], bus: bool
) -> tuple[dict[str, Color], set[str]]:
    """Sample the colors of the materials of one vehicle; return them and the materials that emit light."""
    paint, sun = pick(rng, paints, 14), 0.14 * light.sun * light.sun_side
    glass = blend(vary(rng, (44, 50, 58), 8), light.sky_low, rng.uniform(0.05, 0.3))
    glowing = {"display"} | ({"head lamp", "tail lamp"} if light.dusk else set())
    if rng.random() < 0.35:
        glowing.add("tail lamp")
    if bus and light.dusk:
        glass = (226, 206, 150)
        glowing.add("glass")
    materials: dict[str, Color] = {
        "paint": paint,
        "left": dim(paint, 0.9 - sun),
        "right": dim(paint, 0.9 + sun),
        "stripe": pick(rng, LIVERIES) if bus and rng.random() < 0.5 else dim(paint, 0.6),
        "glass": glass,
        "tire": (26, 26, 28),
        "hub": (140, 142, 146),
        "black": (32, 32, 35),
        "plate": (232, 230, 220) if rng.random() < 0.6 else (226, 200, 70),
        "head lamp": (255, 250, 226) if light.dusk else (214, 218, 220),
        "tail lamp": (238, 40, 30) if "tail lamp" in glowing else (140, 22, 24),
        "display": (250, 190, 60),
    }
    return materials, glowing


@cache
def _geometry(shape: Shape) -> tuple[list[Face], FloatArray, NDArray[np.intp], NDArray[np.intp]]:
    """Return the faces in the order of rendering, their points in one array, and where each starts and ends."""
    faces = _hull(shape) + (_bus_details(shape) if shape is COACH else _car_details(shape))
    faces += _wheels(shape, 0.48, (-0.28, 0.33)) if shape is COACH else _wheels(shape, 0.33, (-0.31, 0.31))
    ends = np.cumsum([len(face.points) for face in faces])
    return faces, np.concatenate([face.points for face in faces]), np.append(0, ends[:-1]), ends


def _areas(flat: FloatArray, starts: NDArray[np.intp], ends: NDArray[np.intp]) -> FloatArray:
    """Return the signed areas of polygons in one array. They are positive if the outer side faces the camera."""
    following = np.arange(1, len(flat) + 1)
    following[ends - 1] = starts
    after = flat[following]
    return np.asarray(np.add.reduceat(flat[:, 0] * after[:, 1] - after[:, 0] * flat[:, 1], starts))


def _half_width(shape: Shape, up: FloatArray) -> FloatArray:
    """Return half the width of the body, in meters, at heights given in heights of the vehicle."""
    rise = np.maximum(up - shape.belt, 0) / (1 - shape.belt)
    return np.asarray(shape.width / 2 * (1 - shape.taper * rise))


def _on_side(shape: Shape, outline: FloatArray, side: int) -> FloatArray:
    """Return an outline (n, 2) of (along, up), from tail to nose over the top, as points (n, 3) on a side."""
    across = side * _half_width(shape, outline[:, 1])
    points = np.stack([across, outline[:, 1] * shape.height, outline[:, 0] * shape.length], axis=1)
    return points if side > 0 else points[::-1]


def _on_end(shape: Shape, across: tuple[float, float], up: tuple[float, float], end: int) -> FloatArray:
    """Return a rectangle (4, 3) on the tail (-1) or nose (1); `across` is in half widths, `up` in heights."""
    left, right = (edge * shape.width / 2 for edge in across)
    low, high = (edge * shape.height for edge in up)
    along = end * (shape.length / 2 + 0.01)
    corners = np.array([(left, low, along), (left, high, along), (right, high, along), (right, low, along)])
    return corners if end < 0 else corners[::-1]


def _hull(shape: Shape) -> list[Face]:
    """Return the sides, and the strips that join them from tail to nose."""
    profile = np.array(shape.profile)
    faces = [Face(_on_side(shape, profile, side), name) for side, name in ((-1, "left"), (1, "right"))]
    half = _half_width(shape, profile[:, 1])
    edge = np.stack([half, profile[:, 1] * shape.height, profile[:, 0] * shape.length], axis=1)
    mirrored = edge * np.array([-1, 1, 1])
    for index in range(len(profile) - 1):
        strip = np.stack([mirrored[index], mirrored[index + 1], edge[index + 1], edge[index]])
        run = np.abs(edge[index + 1] - edge[index])
        faces.append(Face(strip, "paint", 0.82 + 0.33 * float(run[2] / (run[1] + run[2]))))
        if index in shape.glass:
            middle = strip.mean(axis=0)
            faces.append(Face(middle + (strip - middle) * np.array([0.86, 0.84, 0.84]), "glass"))
    return faces


def _wheels(shape: Shape, radius: float, positions: tuple[float, ...]) -> list[Face]:
    """Return the wheels on both sides, and the tires below tail and nose."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([np.cos(angle) * radius / shape.length, np.sin(angle) * radius / shape.height], axis=1)[::-1]
    faces = []
    for side in (-1, 1):
        for along in positions:
            hub = np.array([along, radius / shape.height])
            faces.append(Face(_on_side(shape, hub + ring, side), "tire"))
            faces.append(Face(_on_side(shape, hub + 0.55 * ring, side), "hub"))
        for end in (-1, 1):
            edges = (min(side * 0.94, side * 0.7), max(side * 0.94, side * 0.7))
            faces.append(Face(_on_end(shape, edges, (0.0, 0.24), end), "tire"))
    return faces


def _box(left: float, right: float, low: float, high: float) -> FloatArray:
    """Return a rectangle (4, 2) of (along, up), from tail to nose over the top."""
    return np.array([(left, low), (left, high), (right, high), (right, low)])


def _car_details(shape: Shape) -> list[Face]:
    """Return the side windows, sills, lamps, bumpers and license plates of a car."""
    first, last = shape.cabin
    top = np.array(shape.profile[first:last])
    middle = np.array([top[:, 0].mean(), (shape.belt + 1) / 2])
    pane = middle + (top - middle) * np.array([0.86, 0.76])
    post = float(middle[0])
    faces = []
    for side in (-1, 1):
        lamp = (min(side * 0.66, side * 0.96), max(side * 0.66, side * 0.96))
        faces += [
            Face(_on_side(shape, pane, side), "glass"),
            Face(_on_side(shape, _box(post - 0.012, post + 0.012, shape.belt, 0.96), side), "paint", 0.8),
            Face(_on_side(shape, _box(-0.5, 0.5, 0.2, 0.27), side), "paint", 0.45),
            Face(_on_side(shape, _box(post - 0.14, post - 0.08, 0.56, 0.59), side), "black"),
            Face(_on_end(shape, lamp, (0.44, 0.58), -1), "tail lamp"),
            Face(_on_end(shape, lamp, (0.4, 0.52), 1), "head lamp"),
        ]
    for end in (-1, 1):
        faces.append(Face(_on_end(shape, (-0.98, 0.98), (0.16, 0.28), end), "paint", 0.4))
        faces.append(Face(_on_end(shape, (-0.3, 0.3), (0.3, 0.38), end), "plate"))
    faces.append(Face(_on_end(shape, (-0.6, 0.6), (0.42, 0.5), 1), "black"))
    return faces


def _bus_details(shape: Shape) -> list[Face]:
    """Return the windows, a stripe, the lamps and the lit destination signs of a bus."""
    columns = np.linspace(-0.47, 0.47, 8).tolist()
    faces = []
    for side in (-1, 1):
        lamp = (min(side * 0.7, side * 0.95), max(side * 0.7, side * 0.95))
        faces.append(Face(_on_side(shape, _box(-0.5, 0.5, 0.1, 0.26), side), "stripe"))
        for start, end in pairwise(columns):
            faces.append(Face(_on_side(shape, _box(start + 0.006, end - 0.006, 0.45, 0.82), side), "glass"))
        faces.append(Face(_on_end(shape, lamp, (0.2, 0.3), -1), "tail lamp"))
        faces.append(Face(_on_end(shape, lamp, (0.17, 0.24), 1), "head lamp"))
    for end in (-1, 1):
        faces.append(Face(_on_end(shape, (-0.98, 0.98), (0.08, 0.14), end), "paint", 0.4))
        faces.append(Face(_on_end(shape, (-0.25, 0.25), (0.16, 0.21), end), "plate"))
        faces.append(Face(_on_end(shape, (-0.7, 0.7), (0.87, 0.97), end), "black"))
        faces.append(Face(_on_end(shape, (-0.5, 0.45), (0.895, 0.945), end), "display"))
    return faces
