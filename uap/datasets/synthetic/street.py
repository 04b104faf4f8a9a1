"""The layout of the street, its road and its sidewalks."""

from dataclasses import dataclass

import numpy as np

from uap.datasets.synthetic.camera import ground_quads
from uap.datasets.synthetic.canvas import Canvas
from uap.datasets.synthetic.ids import ROAD, SIDEWALK
from uap.datasets.synthetic.light import Color, dim, pick, vary

FAR = 120.0
"""Distance at which the street ends, in meters."""
ASPHALT: tuple[Color, ...] = ((92, 92, 96), (112, 110, 108), (76, 77, 82), (128, 124, 122), (104, 98, 92))
PAVING: tuple[Color, ...] = (
    (150, 146, 140), (128, 126, 126), (168, 158, 146), (150, 128, 116), (112, 108, 104), (178, 176, 172),
)  # fmt: skip


@dataclass(frozen=True)
class Street:
    """The layout of a street: lateral positions and distances from the camera, in meters."""

    left: float  # curbs
    right: float
    left_facade: float
    right_facade: float
    lanes: tuple[tuple[float, int], ...]  # center and direction: 1 away from the camera, -1 towards it
    lane_width: float
    parking_left: bool
    parking_right: bool
    junction: tuple[float, float] | None  # near and far edge of a crossing road
    crosswalk: float | None  # distance of a pedestrian crossing


def sample_street(rng: np.random.Generator) -> Street:
    """Sample a layout."""
    lane = rng.uniform(2.9, 3.5)
    away_right = int(rng.random() < 0.22)
    away_left = int(rng.random() < 0.2)
    towards = int(rng.choice(3, p=(0.2, 0.65, 0.15)))
    lanes = [(lane * i, 1) for i in range(-away_left, away_right + 1)]
    lanes += [(-lane * (away_left + 1 + i), -1) for i in range(towards)]
    parking_left, parking_right = bool(rng.random() < 0.4), bool(rng.random() < 0.4)
    right = lane * (away_right + 0.5) + (2.2 if parking_right else rng.uniform(0.1, 1.5))
    left = -lane * (away_left + towards + 0.5) - (2.2 if parking_left else rng.uniform(0.1, 1.5))
    junction = None
    if rng.random() < 0.45:
        near = rng.uniform(13, 28)
        junction = (near, near + rng.uniform(7, 10))
    crosswalk = None
    if rng.random() < 0.5:
        crosswalk = junction[0] - 4.5 if junction else rng.uniform(8, 19)
    return Street(
        left=left,
        right=right,
        left_facade=left - rng.uniform(2.6, 5.5),
        right_facade=right + rng.uniform(2.6, 5.5),
        lanes=tuple(lanes),
        lane_width=lane,
        parking_left=parking_left,
        parking_right=parking_right,
        junction=junction,
        crosswalk=crosswalk,
    )


def render_ground(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Render the ground: road, sidewalks and markings."""
    asphalt, paving = pick(rng, ASPHALT), pick(rng, PAVING)
    curb = vary(rng, dim(paving, rng.uniform(0.75, 1.25)), 6)
    edges = np.geomspace(1.3, FAR, 11)
    edges[-1] = 2000.0
    for near, far in zip(edges[-2::-1], edges[:0:-1], strict=True):
        canvas.distance = min(float(near + far) / 2, FAR)
        canvas.surfaces(ground_quads(-6 * far, 6 * far, near, far), paving, SIDEWALK)
        curb_edges = [street.left - 0.3, street.right], [street.left, street.right + 0.3]
        canvas.surfaces(ground_quads(street.left, street.right, near, far), asphalt, ROAD)
        canvas.surfaces(ground_quads(*curb_edges, near, far), curb, SIDEWALK)
    canvas.distance = 12.0
    _render_slabs(canvas, street, paving, rng)
    if street.junction:
        canvas.distance = street.junction[0]
        canvas.surfaces(ground_quads(-90, 90, *street.junction), asphalt, ROAD)
    _render_patches(canvas, street, asphalt, rng)
    _render_markings(canvas, street, rng)


def _render_slabs(canvas: Canvas, street: Street, paving: Color, rng: np.random.Generator) -> None:
    """Render the joints between the slabs of the sidewalk, and some slabs of another shade."""
    slab = rng.uniform(0.6, 1.4)
    joint = dim(paving, rng.uniform(0.78, 0.95))
    depths = np.arange(2.0, 24.0, slab)
    for inner, outer in ((street.left - 0.3, street.left_facade), (street.right + 0.3, street.right_facade)):
        columns = np.arange(inner, outer, np.sign(outer - inner) * slab)
        odd = rng.random((len(columns), len(depths))) < 0.12
        column, row = np.nonzero(odd)
        start, width = columns[column], np.sign(outer - inner) * slab
        canvas.surfaces(
            ground_quads(start, start + width, depths[row], depths[row] + slab), dim(paving, 0.93), SIDEWALK
        )
        canvas.surfaces(ground_quads(min(inner, outer), max(inner, outer), depths, depths + 0.05), joint, SIDEWALK)
        canvas.surfaces(ground_quads(columns - 0.02, columns + 0.02, 2.0, 30.0), joint, SIDEWALK)


def _render_patches(canvas: Canvas, street: Street, asphalt: Color, rng: np.random.Generator) -> None:
    """Render repaired asphalt, wheel tracks, a colored bicycle lane and a manhole cover."""
    for near, far in ((2.0, 12.0), (12.0, 60.0)):
        canvas.distance = (near + far) / 2
        tracks = np.array([center + side for center, _ in street.lanes for side in (-0.75, 0.75)])
        canvas.surfaces(ground_quads(tracks - 0.25, tracks + 0.25, near, far), dim(asphalt, 0.95), ROAD)
        if not street.parking_right and street.right - street.lane_width / 2 > 1.3 and asphalt[0] > 100:
            edges = street.right - 1.2, street.right - 0.05
            canvas.surfaces(ground_quads(*edges, near, far), (146, 92, 82), ROAD)
    for _ in range(int(rng.integers(0, 5))):
        x, z = rng.uniform(street.left, street.right - 1), rng.uniform(4, 30)
        canvas.distance = z
        far_x = min(x + rng.uniform(0.5, 2.5), street.right)
        shade = dim(asphalt, rng.uniform(0.75, 1.15))
        canvas.surfaces(ground_quads(x, far_x, z, z + rng.uniform(1, 8)), shade, ROAD)
    if rng.random() < 0.5:
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        x, z = rng.uniform(street.left + 1, street.right - 1), rng.uniform(6, 14)
        cover = np.stack([x + 0.35 * np.cos(angle), 0 * angle, z + 0.35 * np.sin(angle)], axis=-1)
        canvas.surfaces(cover[None], dim(asphalt, 0.6), ROAD)


def _render_markings(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Render lane dashes, edge lines, a stop line and a crosswalk."""
    white = vary(rng, (218, 218, 212), 12)
    length, gap = rng.uniform(2, 5), rng.uniform(2, 6)
    starts = np.arange(rng.uniform(0, 3) + 1.5, 70, length + gap)
    if street.junction:
        starts = starts[(starts > street.junction[1]) | (starts + length < street.junction[0] - 6)]
    half = street.lane_width / 2
    dividers = np.array(sorted({round(center + half, 2) for center, _ in street.lanes})[:-1])
    for begin in starts:
        canvas.distance = float(begin)
        canvas.surfaces(ground_quads(dividers - 0.08, dividers + 0.08, begin, begin + length), white, ROAD)
    if rng.random() < 0.4:
        canvas.distance = 10.0
        edge = np.array([min(c for c, _ in street.lanes) - half, max(c for c, _ in street.lanes) + half])
        last = street.junction[0] - 6 if street.junction else 70.0
        canvas.surfaces(ground_quads(edge - 0.07, edge + 0.07, 1.5, last), white, ROAD)
    if street.crosswalk is not None:
        canvas.distance = street.crosswalk
        stripes = np.arange(street.left + 0.3, street.right - 0.4, 1.0)
        canvas.surfaces(ground_quads(stripes, stripes + 0.5, street.crosswalk, street.crosswalk + 3.2), white, ROAD)
        canvas.surfaces(ground_quads(-half, half, street.crosswalk - 1.6, street.crosswalk - 1.2), white, ROAD)
