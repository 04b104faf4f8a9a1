"""Rendering of a whole scene."""

from contextlib import nullcontext

import cv2
import numpy as np
from numpy.typing import NDArray

from uap.datasets.synthetic.buildings import render_building
from uap.datasets.synthetic.camera import Camera, ground_quads, sample_camera
from uap.datasets.synthetic.canvas import Canvas
from uap.datasets.synthetic.instances import Instances
from uap.datasets.synthetic.light import Light, sample_light
from uap.datasets.synthetic.nature import render_green_lot, render_sky, render_skyline
from uap.datasets.synthetic.population import Thing, populate
from uap.datasets.synthetic.street import FAR, Street, render_ground, sample_street
from uap.datasets.synthetic.weather import photograph

VERSION: int = 1  # changes whenever the same seed gives another image


def render_scene(
    seed: int, index: int, size: tuple[int, int] = (256, 512)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render one scene. The same arguments always give the same pixels.

    Args:
        seed: seed of the data set.
        index: index of the scene in the data set.
        size: height and width in pixels; both are even, and the height is at least 64.

    Returns:
        The image, (height, width, 3) uint8 RGB, and its Cityscapes train ids, (height, width) uint8.

    Example:
        >>> image, labels = render_scene(seed=0, index=0, size=(64, 128))
        >>> image.shape, image.dtype, labels.shape
        ((64, 128, 3), dtype('uint8'), (64, 128))
    """
    image, labels, _ = _render(seed, index, size, numbered=False)
    return image, labels


def render_instances(
    seed: int, index: int, size: tuple[int, int] = (256, 512)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Render one scene and number its objects: vehicles, people, bicycles and street furniture.

    Arguments are those of `render_scene`.

    Returns:
        The image and the train ids of `render_scene`, and the number of the object at each pixel, (height, width)
        uint8; 0 for the surroundings. A rider and the bicycle under it have the same number.

    Example:
        >>> image, labels, numbers = render_instances(seed=0, index=0, size=(64, 128))
        >>> numbers.shape, bool((numbers[labels == 13] > 0).all())  # every pixel of a car belongs to an object
        ((64, 128), True)
    """
    return _render(seed, index, size, numbered=True)


def _render(
    seed: int, index: int, size: tuple[int, int], *, numbered: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the image, the train ids and the numbers of the objects, which are 0 if they are not asked for."""
    rng = np.random.default_rng([seed, index])
    camera, light, street = sample_camera(rng, size), sample_light(rng), sample_street(rng)
    canvas = Canvas(camera, light)
    render_sky(canvas, rng)
    render_skyline(canvas, rng)
    render_ground(canvas, street, rng)
    for side, facade in ((-1, street.left_facade), (1, street.right_facade)):
        _render_side(canvas, street, side, facade, rng)
    things = [thing for thing in populate(camera, street, rng) if thing.is_seen(camera)]
    instances = Instances(canvas)
    for thing in sorted(things, key=lambda thing: -thing.nearest):
        canvas.distance = thing.z
        with instances.next() if numbered else nullcontext():
            thing.render(canvas, rng, thing.x, thing.z)
    image, labels = canvas.develop()
    shadow = _shadows(camera, light, street, things, rng)
    return photograph(image, labels, shadow, camera, light, rng), labels, instances.develop()


def _render_side(canvas: Canvas, street: Street, side: int, facade: float, rng: np.random.Generator) -> None:
    """Render houses, trees and hedges along one side of the street, from far to near."""
    camera = canvas.camera
    green = rng.choice([0.05, 0.25, 0.7], p=[0.45, 0.4, 0.15])
    spans, start = [], -rng.uniform(0, 10)
    while start < FAR:
        end = start + rng.uniform(9, 24) * (1 + max(start, 0) / 60)
        if street.junction and start < street.junction[1] and end > street.junction[0] - 3:
            if start < street.junction[0] - 7:
                spans.append((start, street.junction[0] - 3))
            start = street.junction[1] + 3
        else:
            spans.append((start, end))
            start = end
    for near, far in reversed(spans):
        render = render_green_lot if rng.random() < green else render_building
        if far > 2 and camera.sees(facade, far):
            corner = street.junction is not None and near == street.junction[1] + 3
            render(canvas, rng, facade + side * rng.uniform(0.0, 0.6), side, (near, far), corner)


def _shadows(
    camera: Camera, light: Light, street: Street, things: list[Thing], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the darkness of the shadows on the ground, (height, width) float32 in 0..1."""
    contact = np.zeros((camera.height, camera.width), np.uint8)
    cast = np.zeros_like(contact)
    boxes = [(thing.x, thing.z, thing.width / 2, thing.length / 2, thing.height) for thing in things]
    x, z, half, depth, height = np.array(boxes).reshape(-1, 5).T
    soles = ground_quads(x - 1.15 * half, x + 1.15 * half, z - 1.1 * depth - 0.1, z + 1.1 * depth)
    _fill(contact, camera, soles, 150)
    if light.sun:
        if rng.random() < 0.35:
            facade = street.left_facade if light.sun_side < 0 else street.right_facade
            edge = facade * rng.uniform(-0.3, 0.8)
            _fill(cast, camera, ground_quads(min(facade, edge), max(facade, edge), 1.3, FAR), 95 * light.sun)
        feet = ground_quads(x - half, x + half, z - depth, z + depth)
        reach = np.array([-light.sun_side * rng.uniform(0.2, 0.9), 0.0, rng.uniform(-0.4, 0.5)])
        heads = feet + height[:, None, None] * reach
        _fill(cast, camera, np.concatenate([feet, heads], axis=1), 95 * light.sun)
    soft = round(6 * camera.unit) | 1
    both = np.maximum(cv2.blur(cast, (3, 3)), cv2.blur(contact, (soft, soft)))
    return np.asarray(both * np.float32(1 / 255), np.float32)


def _fill(mask: NDArray[np.uint8], camera: Camera, points: NDArray[np.float64], value: float) -> None:
    """Fill the convex hulls of n sets of world points (n, k, 3) with a value."""
    for outline in np.rint(camera.project(points) * 16).astype(np.int32):
        cv2.fillPoly(mask, [cv2.convexHull(outline)], value, cv2.LINE_8, 4)
