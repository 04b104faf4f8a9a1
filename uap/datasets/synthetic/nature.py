"""Sky, skyline, trees and hedges."""

from functools import cache

import cv2
import numpy as np

from uap.datasets.synthetic.camera import FloatArray
from uap.datasets.synthetic.canvas import SUPERSAMPLING, Billboard, Canvas, to_fixed
from uap.datasets.synthetic.ids import BUILDING, SKY, VEGETATION
from uap.datasets.synthetic.light import Color, blend, dim, pick, vary
from uap.datasets.synthetic.textures import crop_of, fractal

LEAVES: tuple[Color, ...] = (
    (62, 92, 44), (84, 108, 50), (48, 76, 46), (104, 112, 52), (142, 108, 48), (72, 82, 58),
    (96, 120, 76),
)  # fmt: skip
BARK: tuple[Color, ...] = ((84, 68, 54), (104, 94, 84), (62, 54, 48))


def render_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """Render the sky: a gradient with clouds above the horizon."""
    camera, light = canvas.camera, canvas.light
    rows, columns = max(2, int(camera.horizon) // 4 + 2), max(2, camera.width // 4)
    fall = np.linspace(0, 1, rows)[:, None, None] ** 0.8
    sky = (1 - fall) * np.array(light.sky_top) + fall * np.array(light.sky_low)
    sky = np.broadcast_to(sky, (rows, columns, 3))
    noise = crop_of(fractal(rows + 64, columns + 64, 32, 2, 11), rows, columns, rng)[..., None]
    cover = np.clip((noise - 1.6 + 3.2 * light.clouds) * 0.7, 0, 1) * rng.uniform(0.4, 0.85)
    white = np.array((150, 120, 122) if light.dusk else (238, 238, 240)) * (1 - 0.06 * np.clip(noise, 0, 3))
    painted = np.full((rows, columns, 4), SKY, np.uint8)
    painted[..., :3] = np.clip((1 - cover) * sky + cover * white, 0, 255)
    high = SUPERSAMPLING * (int(camera.horizon) + 2)
    canvas.pixels[:high] = cv2.resize(painted, (canvas.pixels.shape[1], high), interpolation=cv2.INTER_LINEAR)


def render_skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """Render far houses and trees at the end of the street."""
    camera = canvas.camera
    canvas.distance = 110.0
    base = camera.horizon + 2.5 * camera.unit
    column = -10.0
    while column < camera.width:
        width = rng.uniform(16, 60) * camera.unit
        tall = rng.uniform(8, 30) * camera.unit
        if rng.random() < 0.45:
            steps = np.linspace(column - 4, column + width + 4, 12)
            bumps = base - tall * (0.55 + 0.2 * rng.random(12))
            bumps[[0, -1]] = base
            outline = np.stack([steps, bumps], axis=1)
            canvas.polygons(outline[None], pick(rng, LEAVES), VEGETATION)
        else:
            left, right, top = column, column + width + 1, base - tall
            outline = np.array([(left, base), (left, top), (right, top), (right, base)])
            canvas.polygons(outline[None], vary(rng, (150, 140, 130), 22), BUILDING)
        column += width


@cache
def _leafy(corners: int, roughness: float) -> FloatArray:
    """Return 64 jagged closed outlines of mean radius 1, (64, corners, 2). They do not depend on the scene."""
    rng = np.random.default_rng(corners)
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = 1 + roughness * rng.standard_normal((64, corners))
    for turns in (2, 3, 5):
        radius += rng.uniform(0, 0.12, (64, 1)) * np.sin(turns * angle + rng.uniform(0, 6.3, (64, 1)))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(np.maximum(radius, 0.5)[..., None] * circle)


def _render_crown(
    canvas: Canvas, rng: np.random.Generator, center: FloatArray, radii: FloatArray, leaves: Color
) -> None:
    """Render the crown of a tree in pixel coordinates: a dark outline, then lit clumps towards the sun."""
    outline = center + radii * _leafy(56, 0.08)[rng.integers(64)]
    canvas.polygons(outline[None], dim(leaves, 0.72), VEGETATION)
    count = 10 if radii[0] > 16 * canvas.camera.unit else 4
    lift = np.linspace(0, 1, count)[:, None, None]
    sun = np.array([0.3 * canvas.light.sun_side, -0.45])
    offset = rng.uniform(-0.62, 0.62, (count, 1, 2)) + 0.35 * lift * sun
    clumps = center + radii * (offset + (0.34 - 0.12 * lift) * _leafy(14, 0.18)[rng.integers(64, size=count)])
    shades = 0.72 + 0.5 * lift.ravel() + rng.uniform(-0.08, 0.08, count)
    for clump, shade in zip(to_fixed(clumps), shades.tolist(), strict=True):
        canvas.fill([clump], dim(leaves, shade), VEGETATION)


def render_tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Render a tree. Its trunk is labeled as vegetation too."""
    board = Billboard(canvas, x, z)
    height = rng.uniform(4.5, 10.0)
    spread = height * rng.uniform(0.22, 0.36)
    fork = height * rng.uniform(0.32, 0.45)
    lean = rng.normal(0, 0.15)
    bark = pick(rng, BARK)
    board.limb((0, 0), (lean, fork), rng.uniform(0.22, 0.42), bark, VEGETATION)
    for reach in (-0.5, 0.45):
        board.line((lean, fork * 0.9), (lean + reach * spread, fork + 0.25 * height), 0.12, bark, VEGETATION)
    center = np.array(board.to_pixels((lean, (fork + height) / 2)))
    radii = board.scale * np.array([spread, (height - fork) * 0.56])
    _render_crown(canvas, rng, center, radii, pick(rng, LEAVES))


def render_green_lot(
    canvas: Canvas, rng: np.random.Generator, x: float, side: int, span: tuple[float, float], corner: bool
) -> None:
    """Render trees behind a hedge, in place of a house; the arguments are those of `render_building`."""
    for z in np.arange(min(span[1], 80.0), max(span[0], 5.0), -rng.uniform(6, 10)):
        canvas.distance = float(z)
        tree_x = x + side * rng.uniform(2, 6)
        if canvas.camera.sees(tree_x, float(z), margin=3):
            render_tree(canvas, rng, tree_x, float(z))
    canvas.distance = max(span[0], 3.0) + 3
    height = rng.uniform(canvas.camera.eye + 0.2, 3.2)
    steps = np.linspace(max(span[0], 1.3), span[1], 24)
    top = height * (1 + 0.05 * rng.standard_normal(24))
    leaves = pick(rng, LEAVES)
    if corner and span[0] > 4:
        depth = np.linspace(x, x + side * 14, 24)
        near_end = np.stack([depth, top, np.full(24, span[0])], axis=1)
        _hedge(canvas, near_end, dim(leaves, 0.85))
    _hedge(canvas, np.stack([np.full(24, x), top, steps], axis=1), leaves)


def _hedge(canvas: Canvas, ridge: FloatArray, leaves: Color) -> None:
    """Render a hedge under its ridge (n, 3) in world coordinates, darker towards the ground."""
    for share, shade in ((1.0, 1.0), (0.55, 0.86), (0.25, 0.7)):
        upper = ridge * np.array([1.0, share, 1.0])
        foot = ridge[::-1] * np.array([1.0, 0.0, 1.0])
        color = blend(leaves, (40, 44, 34), 1 - shade)
        canvas.surfaces(np.concatenate([upper, foot])[None], color, VEGETATION)
