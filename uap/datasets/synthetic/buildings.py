"""Houses along the street: facades with windows and shop fronts, in perspective."""

from dataclasses import dataclass

import numpy as np

from uap.datasets.synthetic.camera import FloatArray
from uap.datasets.synthetic.canvas import Canvas
from uap.datasets.synthetic.ids import BUILDING
from uap.datasets.synthetic.light import Color, dim, pick, vary

WALLS: tuple[Color, ...] = (
    (186, 172, 150), (160, 92, 74), (208, 196, 172), (118, 116, 116), (146, 140, 134), (196, 158, 110),
    (132, 76, 62), (220, 214, 204), (94, 100, 110), (176, 128, 112), (150, 160, 168), (106, 92, 80),
    (128, 142, 120),
)  # fmt: skip
TRIMS: tuple[Color, ...] = ((228, 226, 220), (70, 66, 64), (150, 130, 110), (196, 190, 180))
SHOPS: tuple[Color, ...] = (
    (170, 36, 34), (34, 70, 140), (36, 110, 66), (222, 180, 50), (40, 40, 44), (226, 224, 220),
    (120, 60, 110),
)  # fmt: skip
ROOFS: tuple[Color, ...] = ((120, 62, 50), (72, 72, 78), (96, 86, 78))

Lengths = float | FloatArray  # meters: one value, or one for each rectangle


@dataclass(frozen=True)
class Facade:
    """A wall on the ground.

    Attributes:
        start: ground point (x, z) of its first end, in meters.
        along: unit vector (x, z) towards its other end.
        length: in meters.
        height: in meters.
    """

    start: tuple[float, float]
    along: tuple[float, float]
    length: float
    height: float

    def rectangles(self, a0: Lengths, a1: Lengths, low: Lengths, high: Lengths) -> FloatArray:
        """Return the world corners (n, 4, 3) of n rectangles on the wall.

        Args:
            a0: first position along the wall, in meters.
            a1: last position along the wall, in meters.
            low: lower height, in meters.
            high: upper height, in meters.
        """
        corners = np.empty((np.size(a0), 4, 3))
        corners[:, 0, 1] = corners[:, 1, 1] = low
        corners[:, 2, 1] = corners[:, 3, 1] = high
        for axis in (0, 2):
            origin, slope = self.start[axis // 2], self.along[axis // 2]
            corners[:, 0, axis] = corners[:, 3, axis] = origin + slope * a0
            corners[:, 1, axis] = corners[:, 2, axis] = origin + slope * a1
        return corners

    def band(self, low: float, high: float, a0: float = 0.0, a1: float | None = None) -> FloatArray:
        """Return the world corners (1, 4, 3) of one rectangle. By default, it is as long as the wall."""
        end = self.length if a1 is None else a1
        return self.rectangles(a0, end, low, high)


@dataclass(frozen=True)
class Style:
    """The look of the walls of one house."""

    wall: Color
    trim: Color
    glass: Color
    bay: float  # meters from window to window
    floor: float  # meters from floor to floor
    window: tuple[float, float]  # share of the bay and of the floor
    shop: bool


def sample_style(rng: np.random.Generator) -> Style:
    """Sample the look of a house."""
    ribbon = rng.random() < 0.2
    return Style(
        wall=pick(rng, WALLS),
        trim=pick(rng, TRIMS),
        glass=vary(rng, (66, 76, 88), 16),
        bay=rng.uniform(2.2, 3.8),
        floor=rng.uniform(2.9, 3.8),
        window=(0.94, 0.5) if ribbon else (rng.uniform(0.35, 0.6), rng.uniform(0.45, 0.66)),
        shop=bool(rng.random() < 0.5),
    )


def render_building(
    canvas: Canvas, rng: np.random.Generator, x: float, side: int, span: tuple[float, float], corner: bool
) -> None:
    """Render a house.

    Args:
        canvas: canvas that is painted.
        rng: generator of the random numbers.
        x: lateral position of the front, in meters.
        side: side of the street, left (-1) or right (1).
        span: nearest and farthest distance of the front, in meters.
        corner: whether the house is at a street corner. Otherwise, the wall towards the camera is blank.
    """
    style = sample_style(rng)
    stories = int(rng.integers(2, 8))
    height = stories * style.floor + rng.uniform(0.4, 1.4)
    front = Facade((x, span[0]), (0.0, 1.0), span[1] - span[0], height)
    canvas.distance = max(span[0], 2.0) + 4.0
    sunlit = 1.0 + 0.22 * canvas.light.sun * (1 if side != canvas.light.sun_side else -1)
    if span[0] > 4 and canvas.camera.sees(x, span[0]):
        gable = Facade((x, span[0]), (float(side), 0.0), 12.0, height)
        shade = 1.0 - 0.15 * canvas.light.sun
        if corner:
            _render_wall(canvas, rng, gable, style, stories, shade)
        else:
            canvas.surfaces(gable.band(0.0, height), dim(style.wall, 0.9 * shade), BUILDING)
    _render_roof(canvas, rng, front, side, style.wall)
    _render_wall(canvas, rng, front, style, stories, sunlit)
    if style.shop and span[0] < 50:
        _render_shops(canvas, rng, front, style)


def _render_roof(canvas: Canvas, rng: np.random.Generator, front: Facade, side: int, wall: Color) -> None:
    """Render a sloping roof on some houses. It leans back from the street."""
    if rng.random() < 0.4:
        corners = front.band(front.height, front.height + rng.uniform(1.5, 3.5))
        corners[:, 2:, 0] += side * 2.0
        end = corners[:, [0, 3, 3, 0]]  # closes the roof towards the camera
        end[:, 2:, 0] += side * 10.0
        canvas.surfaces(end, dim(wall, 0.85), BUILDING)
        canvas.surfaces(corners, pick(rng, ROOFS), BUILDING)


def _render_wall(
    canvas: Canvas, rng: np.random.Generator, wall: Facade, style: Style, stories: int, shade: float
) -> None:
    """Render one wall with its rows of windows, cornice and base."""
    color, trim = dim(style.wall, shade), dim(style.trim, shade)
    canvas.surfaces(wall.band(0.0, wall.height), color, BUILDING)
    canvas.surfaces(wall.band(0.0, 0.6), dim(color, 0.8), BUILDING)
    canvas.surfaces(wall.band(wall.height - 0.4, wall.height), trim, BUILDING)
    bays = max(1, int(wall.length / style.bay))
    pitch = wall.length / bays
    floor, column = np.divmod(np.arange(bays * stories), bays)
    middle = (column + 0.5) * pitch
    half = 0.5 * pitch * style.window[0]
    sill = floor * style.floor + 0.9
    top = sill + style.floor * style.window[1]
    ahead = wall.start[1] + wall.along[1] * (middle + half) > 0.9 * canvas.camera.first_seen(wall.start[0])
    ahead &= wall.start[1] + wall.along[1] * (middle - half) > 1.5
    middle, sill, top = middle[ahead], sill[ahead], top[ahead]
    frames = wall.rectangles(middle - half - 0.1, middle + half + 0.1, sill - 0.15, top + 0.1)
    canvas.surfaces(frames, trim, BUILDING)
    panes = wall.rectangles(middle - half, middle + half, sill, top)
    kind = rng.random(len(panes))
    lit = 0.35 if canvas.light.dusk else 0.03
    canvas.surfaces(panes[kind < 0.5], dim(style.glass, shade), BUILDING)
    canvas.surfaces(panes[(kind >= 0.5) & (kind < 1 - lit)], dim(style.glass, 1.45 * shade), BUILDING)
    canvas.surfaces(panes[kind >= 1 - lit], (236, 196, 120), BUILDING, glow=True)
    if canvas.distance > 45:
        return
    bars = wall.rectangles(middle - 0.04, middle + 0.04, sill, top)
    canvas.surfaces(bars, trim, BUILDING)


def _render_shops(canvas: Canvas, rng: np.random.Generator, front: Facade, style: Style) -> None:
    """Render shop windows, doors and shop signs on the first floor."""
    position = 0.3
    while position < front.length - 3:
        end = min(position + rng.uniform(3.5, 7), front.length - 0.3)
        if front.start[1] + position > 1.0 and canvas.camera.sees(front.start[0], front.start[1] + end):
            shop_sign, door = pick(rng, SHOPS), position + rng.uniform(0.2, 0.8) * (end - position - 1)
            glass = (214, 190, 140) if canvas.light.dusk else vary(rng, (84, 90, 94), 18)
            canvas.surfaces(front.band(0.1, 3.3, position, end), dim(shop_sign, 0.7), BUILDING)
            canvas.surfaces(front.band(0.5, 2.5, position + 0.25, end - 0.25), glass, BUILDING, canvas.light.dusk)
            canvas.surfaces(front.band(0.0, 2.4, door, door + 1.0), dim(style.trim, 0.5), BUILDING)
            canvas.surfaces(front.band(2.6, 3.3, position, end), shop_sign, BUILDING)
            canvas.surfaces(front.band(2.8, 3.1, position + 0.6, end - 1.0), vary(rng, (210, 206, 196)), BUILDING)
        position = end + 0.4
