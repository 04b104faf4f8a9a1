"""Pedestrians."""

from dataclasses import dataclass

import numpy as np

from uap.datasets.synthetic.canvas import Billboard, Canvas, Point
from uap.datasets.synthetic.ids import PERSON
from uap.datasets.synthetic.light import Color, dim, pick, vary

SKINS: tuple[Color, ...] = (
    (232, 190, 162), (214, 164, 130), (186, 132, 98), (140, 94, 66), (98, 64, 46), (240, 206, 184),
)  # fmt: skip
HAIRS: tuple[Color, ...] = (
    (34, 28, 26), (72, 48, 32), (140, 104, 60), (196, 164, 104), (120, 116, 114), (96, 46, 30),
)  # fmt: skip
TOPS: tuple[Color, ...] = (
    (168, 40, 40), (40, 60, 120), (36, 36, 40), (222, 220, 214), (60, 110, 74), (214, 178, 60),
    (120, 120, 124), (96, 60, 104), (208, 120, 60), (110, 160, 196), (92, 78, 60), (224, 150, 160),
    (70, 74, 84),
)  # fmt: skip
BOTTOMS: tuple[Color, ...] = (
    (46, 58, 92), (34, 34, 38), (84, 84, 88), (168, 150, 118), (74, 62, 50), (104, 118, 144),
    (200, 196, 188),
)  # fmt: skip


@dataclass(frozen=True)
class Outfit:
    """The look of one person."""

    skin: Color
    hair: Color
    top: Color
    bottom: Color
    shoes: Color
    cut: str  # pants, shorts, skirt or coat
    sleeves: bool
    long_hair: bool
    hat: Color | None
    bag: Color | None
    girth: float


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Sample the look of a person."""
    kind = rng.random()
    cut = "pants" if kind < 0.55 else "coat" if kind < 0.73 else "skirt" if kind < 0.87 else "shorts"
    return Outfit(
        skin=pick(rng, SKINS, 8),
        hair=pick(rng, HAIRS, 8),
        top=pick(rng, TOPS, 16),
        bottom=pick(rng, BOTTOMS, 14),
        shoes=vary(rng, (46, 40, 38), 20) if rng.random() < 0.7 else vary(rng, (200, 198, 194), 20),
        cut=cut,
        sleeves=bool(rng.random() < 0.7),
        long_hair=bool(rng.random() < 0.4),
        hat=pick(rng, TOPS) if rng.random() < 0.15 else None,
        bag=pick(rng, TOPS) if rng.random() < 0.4 else None,
        girth=rng.uniform(0.9, 1.25),
    )


def render_head(board: Billboard, center: Point, view: str, outfit: Outfit, label: int) -> None:
    """Render neck, face and hair. The view is side (looking along +x), front or back."""
    x, y = center
    if outfit.long_hair:
        back = -0.05 if view == "side" else 0.0
        board.ellipse((x + back, y - 0.09), (0.125, 0.2), dim(outfit.hair, 0.85), label)
    board.line((x, y - 0.08), (x - 0.01, y - 0.22), 0.1, dim(outfit.skin, 0.75), label)
    board.ellipse((x, y), (0.1, 0.135), outfit.skin, label)
    if view == "back":
        board.ellipse((x, y + 0.02), (0.108, 0.13), outfit.hair, label)
        return
    shade = -0.055 if view == "side" else 0.045 * -board.canvas.light.sun_side / (board.facing or 1)
    board.ellipse((x + shade, y - 0.03), (0.05, 0.1), dim(outfit.skin, 0.84), label)
    if view == "side":
        board.ellipse((x + 0.1, y - 0.01), (0.025, 0.03), outfit.skin, label)
        board.ellipse((x - 0.045, y + 0.03), (0.085, 0.115), outfit.hair, label)
        board.ellipse((x + 0.005, y + 0.085), (0.105, 0.06), outfit.hair, label)
    else:
        board.ellipse((x, y + 0.085), (0.108, 0.065), outfit.hair, label)
        if board.scale > 60:
            for eye in (-0.04, 0.04):
                board.ellipse((x + eye, y + 0.005), (0.014, 0.01), (40, 30, 28), label)
            board.line((x - 0.025, y - 0.07), (x + 0.025, y - 0.07), 0.01, dim(outfit.skin, 0.65), label)
    if outfit.hat:
        board.ellipse((x, y + 0.09), (0.115, 0.075), outfit.hat, label)


def render_torso(board: Billboard, hip: Point, neck: Point, widths: Point, color: Color, label: int) -> None:
    """Render the upper body, shaded away from the sun; `widths` are half the widths at hip and shoulder, in meters."""
    low, high = widths
    (hx, hy), (nx, ny) = hip, neck
    waist = (hx * 0.55 + nx * 0.45, hy * 0.55 + ny * 0.45)
    middle = 0.45 * low + 0.47 * high
    right: list[Point] = [
        (nx + 0.4 * high, ny), (nx + high, ny - 0.07), (waist[0] + middle, waist[1]), (hx + low, hy),
    ]  # fmt: skip
    left: list[Point] = [
        (hx - low, hy), (waist[0] - middle, waist[1]), (nx - high, ny - 0.07), (nx - 0.4 * high, ny),
    ]  # fmt: skip
    board.polygon(right + left, color, label)
    shade_right = board.canvas.light.sun_side * board.facing < 0
    outer = right if shade_right else left[::-1]
    inner = [(x + (0.75 if not shade_right else -0.75) * high, y) for x, y in outer]
    board.polygon(outer + inner[::-1], dim(color, 0.78), label)


def render_person(canvas: Canvas, rng: np.random.Generator, x: float, z: float, sideways: float = 0.5) -> None:
    """Render a person; `sideways` is the probability that the person walks across the view."""
    outfit = sample_outfit(rng)
    size = rng.uniform(0.6, 0.8) if rng.random() < 0.1 else rng.uniform(0.93, 1.1)
    facing = 1.0 if rng.random() < 0.5 else -1.0
    board = Billboard(canvas, x, z, size, facing)
    if rng.random() < sideways:
        _render_walking(board, rng, outfit)
    else:
        _render_facing(board, rng, outfit, "front" if rng.random() < 0.5 else "back")


def _leg(board: Billboard, hip: Point, knee: Point, foot: Point, outfit: Outfit, shade: float, toe: float) -> None:
    """Render a leg with its shoe. It is bare below a skirt or shorts."""
    bare = outfit.cut in ("skirt", "shorts")
    cloth = dim(outfit.bottom, shade)
    calf = dim(outfit.skin, shade) if bare else cloth
    board.line(
        (foot[0] - 0.02, foot[1] - 0.02),
        (foot[0] + toe, foot[1] - 0.03),
        0.1,
        dim(outfit.shoes, shade),
        PERSON,
    )
    board.limb(knee, foot, 0.115 if bare else 0.135, calf, PERSON)
    board.limb(hip, knee, 0.18 * outfit.girth, cloth, PERSON)


def _arm(board: Billboard, shoulder: Point, elbow: Point, hand: Point, outfit: Outfit, shade: float) -> None:
    """Render an arm with its hand."""
    sleeve = dim(outfit.top, shade)
    lower = sleeve if outfit.sleeves or outfit.cut == "coat" else dim(outfit.skin, shade)
    board.ellipse(hand, (0.05, 0.06), dim(outfit.skin, shade), PERSON)
    board.limb(elbow, hand, 0.085, lower, PERSON)
    board.limb(shoulder, elbow, 0.115, sleeve, PERSON)


def _skirt(board: Billboard, outfit: Outfit, half: float) -> None:
    """Render a skirt or the lower end of a coat over the legs."""
    if outfit.cut == "skirt":
        board.polygon([(-half, 0.98), (half, 0.98), (half * 1.35, 0.5), (-half * 1.35, 0.5)], outfit.bottom, PERSON)
    elif outfit.cut == "coat":
        color = dim(outfit.top, 0.92)
        board.polygon([(-half, 1.0), (half, 1.0), (half * 1.15, 0.55), (-half * 1.15, 0.55)], color, PERSON)


def _render_walking(board: Billboard, rng: np.random.Generator, outfit: Outfit) -> None:
    """Render the side view of a walking person."""
    stride = rng.uniform(0.08, 0.38)
    swing = stride * rng.uniform(0.5, 0.9)
    back_foot, front_foot = (-stride, 0.08 + 0.25 * stride), (stride, 0.06)
    _arm(board, (0.0, 1.38), (swing * 0.5, 1.12), (swing + 0.06, 0.92), outfit, 0.68)
    _leg(board, (0, 0.88), (-stride * 0.3 + 0.05, 0.48), back_foot, outfit, 0.72, 0.12)
    _leg(board, (0, 0.88), (stride * 0.6 + 0.03, 0.48), front_foot, outfit, 1.0, 0.15)
    _skirt(board, outfit, 0.155 * outfit.girth)
    if outfit.bag:
        board.ellipse((-0.17, 1.18), (0.12, 0.19), outfit.bag, PERSON)
    half = 0.15 * outfit.girth
    render_torso(board, (0.0, 0.84), (0.02, 1.46), (half, half), outfit.top, PERSON)
    render_head(board, (0.04, 1.6), "side", outfit, PERSON)
    _arm(board, (0.0, 1.38), (-swing * 0.6 - 0.03, 1.12), (-swing * 0.8, 0.88), outfit, 0.9)


def _render_facing(board: Billboard, rng: np.random.Generator, outfit: Outfit, view: str) -> None:
    """Render the view from the front or from behind, standing or walking."""
    gap, lift = rng.uniform(0.08, 0.14), rng.uniform(0.0, 0.12)
    half = 0.19 * outfit.girth
    _leg(board, (-0.09, 0.88), (-gap, 0.48), (-gap, 0.06), outfit, 0.95, -0.03)
    _leg(board, (0.09, 0.88), (gap, 0.48 + 0.3 * lift), (gap * 0.9, 0.06 + lift), outfit, 0.85, 0.03)
    _skirt(board, outfit, half)
    for side in (-1, 1):
        bend = rng.uniform(0.02, 0.12)
        elbow, hand = (side * (half + 0.1), 1.12), (side * (half + 0.12 - bend), 0.86 + bend)
        _arm(board, (side * (half + 0.01), 1.38), elbow, hand, outfit, 0.86)
    render_torso(board, (0.0, 0.84), (0.0, 1.47), (half * 0.9, half + 0.04), outfit.top, PERSON)
    if view == "front" and rng.random() < 0.5:
        board.polygon([(-0.05, 1.46), (0.05, 1.46), (0.03, 0.9), (-0.03, 0.9)], dim(outfit.top, 0.55), PERSON)
    if outfit.bag and view == "back":
        board.ellipse((0, 1.2), (0.16, 0.2), outfit.bag, PERSON)
        board.ellipse((0, 1.12), (0.12, 0.09), dim(outfit.bag, 0.75), PERSON)
    elif outfit.bag:
        board.ellipse((half + 0.1, 0.78), (0.12, 0.14), outfit.bag, PERSON)
    render_head(board, (0.0, 1.6), view, outfit, PERSON)
