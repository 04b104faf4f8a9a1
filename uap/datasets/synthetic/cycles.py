"""Bicycles and their riders."""

import numpy as np

from uap.datasets.synthetic.canvas import Billboard, Canvas, Point
from uap.datasets.synthetic.ids import BICYCLE, RIDER
from uap.datasets.synthetic.light import Color, dim, pick
from uap.datasets.synthetic.people import TOPS, Outfit, render_head, render_torso, sample_outfit

FRAMES: tuple[Color, ...] = (
    (30, 30, 34), (170, 34, 34), (40, 80, 150), (210, 210, 206), (50, 120, 70), (220, 170, 40),
    (120, 124, 130),
)  # fmt: skip
WHEEL = 0.35
REAR_HUB: Point = (-0.53, WHEEL)
FRONT_HUB: Point = (0.53, WHEEL)
PEDALS: Point = (-0.06, 0.3)
SADDLE: Point = (-0.22, 0.92)
HEADSET: Point = (0.36, 0.86)
BARS: Point = (0.4, 1.04)


def _circle(center: Point, radius: float) -> list[Point]:
    return [(center[0] + radius * np.cos(a), center[1] + radius * np.sin(a)) for a in np.linspace(0, 6, 20)]


def render_bicycle_side(board: Billboard, color: Color) -> None:
    """Render the side view, heading along +x. The labels fill the wheels and the frame."""
    board.veil([REAR_HUB, SADDLE, HEADSET, PEDALS], dim(color, 0.7), BICYCLE, 0.3)
    for hub in (REAR_HUB, FRONT_HUB):
        board.veil(_circle(hub, WHEEL), (70, 70, 72), BICYCLE, 0.3)
        board.ring(hub, WHEEL - 0.02, 0.05, (30, 30, 32), BICYCLE)
    tubes = (
        (REAR_HUB, PEDALS), (REAR_HUB, SADDLE), (PEDALS, SADDLE), (PEDALS, HEADSET), (SADDLE, HEADSET),
        (HEADSET, FRONT_HUB), (HEADSET, BARS),
    )  # fmt: skip
    for start, end in tubes:
        board.line(start, end, 0.05, color, BICYCLE)
    board.line((-0.34, 0.95), (-0.1, 0.95), 0.07, (36, 32, 30), BICYCLE)
    board.line(BARS, (0.28, 1.08), 0.05, (40, 40, 42), BICYCLE)
    board.ellipse(PEDALS, (0.09, 0.09), (60, 60, 62), BICYCLE)


def render_bicycle_end(board: Billboard, color: Color, lamp: Color) -> None:
    """Render the view from behind or from the front."""
    board.line((0, 0.06), (0, 0.64), 0.13, (34, 34, 36), BICYCLE)
    board.line((0, 0.55), (0, 0.98), 0.08, color, BICYCLE)
    board.line((-0.18, 0.31), (0.18, 0.31), 0.08, (50, 50, 52), BICYCLE)
    board.line((-0.3, 1.04), (0.3, 1.04), 0.07, (46, 46, 48), BICYCLE)
    board.ellipse((0, 0.92), (0.09, 0.06), (36, 32, 30), BICYCLE)
    board.ellipse((0, 0.68), (0.06, 0.06), lamp, BICYCLE, glow=True)


def render_parked_bicycle(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Render a bicycle without a rider, roughly from the side."""
    facing = rng.uniform(0.6, 1.0) * (1 if rng.random() < 0.5 else -1)
    render_bicycle_side(Billboard(canvas, x, z, rng.uniform(0.95, 1.1), facing), pick(rng, FRAMES))


def render_rider(canvas: Canvas, rng: np.random.Generator, x: float, z: float, view: str = "side") -> None:
    """Render a rider on a bicycle. The view is side, front or back."""
    outfit = sample_outfit(rng)
    color = pick(rng, FRAMES)
    helmet = pick(rng, TOPS) if rng.random() < 0.6 else None
    facing = 1.0 if rng.random() < 0.5 else -1.0
    if view == "side":
        board = Billboard(canvas, x, z, rng.uniform(0.97, 1.1), facing * rng.uniform(0.8, 1.0))
        _ride_sideways(board, rng, outfit, color)
        head = (0.12, 1.68)
    else:
        board = Billboard(canvas, x, z, rng.uniform(0.97, 1.1), facing)
        _ride_along(board, rng, outfit, color, view)
        head = (0.0, 1.7)
    render_head(board, head, view, outfit, RIDER)
    if helmet:
        board.ellipse((head[0] - 0.01, head[1] + 0.07), (0.13, 0.1), helmet, RIDER)


def _ride_sideways(board: Billboard, rng: np.random.Generator, outfit: Outfit, color: Color) -> None:
    hip, shoulder = (-0.2, 1.02), (0.06, 1.47)
    turn = rng.uniform(0, 6.28)
    crank = 0.16 * np.array([np.cos(turn), np.sin(turn)])

    def leg(sign: float, shade: float) -> None:
        foot = (PEDALS[0] + sign * float(crank[0]), PEDALS[1] + sign * float(crank[1]) + 0.04)
        knee = ((hip[0] + foot[0]) / 2 + 0.24, (hip[1] + foot[1]) / 2 + 0.1)
        board.line((foot[0] - 0.04, foot[1] - 0.02), (foot[0] + 0.13, foot[1] - 0.03), 0.09, outfit.shoes, RIDER)
        calf = outfit.skin if outfit.cut in ("skirt", "shorts") else outfit.bottom
        board.limb(knee, foot, 0.13, dim(calf, shade), RIDER)
        board.limb(hip, knee, 0.19, dim(outfit.bottom, shade), RIDER)

    leg(-1.0, 0.68)
    render_bicycle_side(board, color)
    leg(1.0, 1.0)
    half = 0.15 * outfit.girth
    render_torso(
        board,
        (hip[0], hip[1] - 0.06),
        (shoulder[0] + 0.01, shoulder[1] + 0.08),
        (half, half),
        outfit.top,
        RIDER,
    )
    if outfit.bag:
        board.ellipse((-0.2, 1.36), (0.13, 0.17), outfit.bag, RIDER)
    elbow = (0.24, 1.2)
    board.limb(elbow, (0.38, 1.09), 0.09, outfit.top if outfit.sleeves else outfit.skin, RIDER)
    board.limb(shoulder, elbow, 0.12, dim(outfit.top, 0.9), RIDER)


def _ride_along(board: Billboard, rng: np.random.Generator, outfit: Outfit, color: Color, view: str) -> None:
    lamp = (230, 40, 30) if view == "back" else (250, 246, 220)
    half = 0.2 * outfit.girth
    lift = rng.uniform(-0.14, 0.14)
    render_bicycle_end(board, color, lamp)
    for side in (-1, 1):
        foot, knee = (side * 0.15, 0.32 + side * lift), (side * 0.18, 0.68 + side * lift / 2)
        calf = outfit.skin if outfit.cut in ("skirt", "shorts") else outfit.bottom
        board.line((foot[0], foot[1] - 0.03), (foot[0] + side * 0.03, foot[1] - 0.03), 0.1, outfit.shoes, RIDER)
        board.limb(knee, foot, 0.13, dim(calf, 0.9), RIDER)
        board.limb((side * 0.1, 0.98), knee, 0.19, outfit.bottom, RIDER)
        sleeve = outfit.top if outfit.sleeves else outfit.skin
        board.limb((side * (half + 0.06), 1.25), (side * 0.28, 1.08), 0.09, dim(sleeve, 0.9), RIDER)
        board.limb((side * (half + 0.01), 1.45), (side * (half + 0.07), 1.25), 0.12, dim(outfit.top, 0.85), RIDER)
    render_torso(board, (0, 0.93), (0, 1.56), (half * 0.95, half + 0.03), outfit.top, RIDER)
    if outfit.bag and view == "back":
        board.ellipse((0, 1.3), (0.16, 0.19), outfit.bag, RIDER)
