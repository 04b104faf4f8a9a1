"""Street lamps, traffic lights and traffic signs."""

import numpy as np

from uap.datasets.synthetic.canvas import Billboard, Canvas, Point
from uap.datasets.synthetic.ids import POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN
from uap.datasets.synthetic.light import Color, dim, pick, vary

METAL: tuple[Color, ...] = ((120, 122, 126), (70, 74, 76), (150, 152, 154), (52, 66, 60), (96, 92, 86))
WHITE: Color = (232, 232, 230)
RED: Color = (190, 28, 32)
BLUE: Color = (28, 74, 160)
YELLOW: Color = (232, 188, 40)
GREEN: Color = (30, 110, 70)
BLACK: Color = (30, 30, 32)


def _regular(corners: int, turn: float) -> list[Point]:
    """Return a regular polygon in the unit circle."""
    return [(float(np.cos(a)), float(np.sin(a))) for a in turn + np.arange(corners) * 2 * np.pi / corners]


OUTLINES = {
    "disc": _regular(24, 0.0),
    "octagon": _regular(8, np.pi / 8),
    "diamond": _regular(4, 0.0),
    "triangle": _regular(3, np.pi / 2),
    "give way": _regular(3, -np.pi / 2),
    "bar": [(-1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (1.0, -1.0)],
}
# A sign is a stack of outlines, each with its name, its width and height in half widths of the sign, and its color.
PANELS: tuple[tuple[tuple[str, float, float, Color], ...], ...] = (
    (("disc", 1.0, 1.0, RED), ("disc", 0.72, 0.72, WHITE), ("bar", 0.35, 0.25, BLACK)),
    (("disc", 1.0, 1.0, RED), ("bar", 0.66, 0.17, WHITE)),
    (("disc", 1.0, 1.0, WHITE), ("disc", 0.92, 0.92, BLUE), ("bar", 0.16, 0.5, WHITE)),
    (("triangle", 1.15, 1.15, RED), ("triangle", 0.7, 0.7, WHITE), ("bar", 0.09, 0.25, BLACK)),
    (("give way", 1.15, 1.15, RED), ("give way", 0.65, 0.65, WHITE)),
    (("bar", 0.95, 0.95, WHITE), ("bar", 0.87, 0.87, BLUE), ("triangle", 0.6, 0.6, WHITE)),
    (("diamond", 1.1, 1.1, WHITE), ("diamond", 0.8, 0.8, YELLOW)),
    (("octagon", 1.05, 1.05, RED), ("bar", 0.7, 0.2, WHITE)),
    (("bar", 1.5, 0.7, WHITE), ("bar", 1.42, 0.6, YELLOW), ("bar", 1.0, 0.1, BLACK)),
    (("bar", 1.5, 0.7, WHITE), ("bar", 1.42, 0.6, GREEN), ("bar", 1.0, 0.1, WHITE)),
    (("bar", 0.8, 1.2, WHITE), ("bar", 0.72, 1.1, BLUE), ("disc", 0.5, 0.5, WHITE)),
)


def render_lamp_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float, inward: int = 1) -> None:
    """Render a street lamp with an arm towards the road; `inward` is 1 if the road is to its right, otherwise -1."""
    board = Billboard(canvas, x, z)
    metal, height, width = pick(rng, METAL), rng.uniform(5.0, 8.0), rng.uniform(0.15, 0.24)
    board.line((0, 0), (0, 1.0), 1.5 * width, dim(metal, 0.85), POLE)
    board.limb((0, 0), (0, height), width, metal, POLE)
    reach = inward * rng.uniform(0.8, 2.0)
    board.line((0, height), (reach, height + 0.3), 0.13, metal, POLE)
    if canvas.light.dusk:
        board.ellipse((reach, height + 0.25), (0.45, 0.14), (255, 236, 180), POLE, glow=True)
    else:
        board.ellipse((reach, height + 0.25), (0.45, 0.14), dim(metal, 0.7), POLE)


def render_mast(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Render a plain mast, such as those of streetcars or flags."""
    Billboard(canvas, x, z).limb((0, 0), (0, rng.uniform(4.5, 7)), rng.uniform(0.2, 0.32), pick(rng, METAL), POLE)


def _render_housing(board: Billboard, center: Point, lit: int, casing: Color, size: float) -> None:
    """Render the three lamps of a traffic light; `lit` is the index of the lit lamp from the top."""
    x, y = center
    half_width, half_height = 0.23 * size, 0.58 * size
    corners = [(x - half_width, y - half_height), (x - half_width, y + half_height)]
    corners += [(x + half_width, y + half_height), (x + half_width, y - half_height)]
    board.polygon(corners, casing, TRAFFIC_LIGHT)
    glowing: tuple[Color, ...] = ((255, 50, 36), (255, 190, 40), (60, 240, 130))
    for index, color in enumerate(glowing):
        lamp = (x, y + (1 - index) * 0.36 * size)
        lights = index == lit
        shown = color if lights else dim(color, 0.22)
        board.ellipse(lamp, (0.155 * size, 0.155 * size), shown, TRAFFIC_LIGHT, glow=lights)


def render_traffic_light(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, inward: int = 1, arm: bool = False
) -> None:
    """Render a traffic light on a pole at the curb, or on an arm over the road."""
    board = Billboard(canvas, x, z)
    metal, lit = pick(rng, METAL), int(rng.integers(3))
    casing = vary(rng, (34, 36, 36), 6) if rng.random() < 0.75 else vary(rng, (206, 170, 50), 10)
    size = rng.uniform(1.0, 1.25)
    if arm:
        reach = inward * rng.uniform(2.5, 4.5)
        board.limb((0, 0), (0, 5.6), 0.2, metal, POLE)
        board.line((0, 5.6), (reach, 5.7), 0.14, metal, POLE)
        _render_housing(board, (reach, 5.2), lit, casing, size * 1.1)
    else:
        board.limb((0, 0), (0, 2.5), 0.16, metal, POLE)
    _render_housing(board, (0, 2.9), lit, casing, size)


def render_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Render one or two traffic signs on a pole."""
    board = Billboard(canvas, x, z)
    height = rng.uniform(2.2, 2.9)
    board.limb((0, 0), (0, height + 0.3), 0.12, pick(rng, METAL), POLE)
    _render_panel(board, rng, (0.0, height), rng.uniform(0.38, 0.5))
    if rng.random() < 0.35:
        _render_panel(board, rng, (0.0, height - 0.95), rng.uniform(0.32, 0.42))


def _render_panel(board: Billboard, rng: np.random.Generator, center: Point, half: float) -> None:
    """Render one sign of a random kind."""
    for outline, width, height, color in PANELS[int(rng.integers(len(PANELS)))]:
        points = [(center[0] + half * width * x, center[1] + half * height * y) for x, y in OUTLINES[outline]]
        board.polygon(points, color, TRAFFIC_SIGN)
