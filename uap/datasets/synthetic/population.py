"""The objects in the street: traffic, people, bicycles and street furniture."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from uap.datasets.synthetic.camera import Camera
from uap.datasets.synthetic.canvas import Canvas
from uap.datasets.synthetic.cycles import render_parked_bicycle, render_rider
from uap.datasets.synthetic.furniture import render_lamp_post, render_mast, render_sign, render_traffic_light
from uap.datasets.synthetic.nature import render_tree
from uap.datasets.synthetic.people import render_person
from uap.datasets.synthetic.shapes import CARS, COACH, Shape
from uap.datasets.synthetic.street import Street
from uap.datasets.synthetic.vehicles import render_vehicle


@dataclass(frozen=True)
class Thing:
    """An object on the ground.

    Attributes:
        x: lateral position of its center, in meters.
        z: distance of its center, in meters.
        width: size across the street, in meters.
        length: size along the street, in meters.
        height: in meters.
        render: function that renders it on a canvas at (x, z).
    """

    x: float
    z: float
    width: float
    length: float
    height: float
    render: Callable[[Canvas, np.random.Generator, float, float], None]

    @property
    def nearest(self) -> float:
        """Distance of its near end, in meters. Objects are rendered from far to near."""
        return self.z - self.length / 2

    def is_seen(self, camera: Camera) -> bool:
        """Return whether enough of it is between the left and right edges of the image."""
        return camera.sees(self.x, self.z, margin=max(self.width, self.length) / 2 - 0.15)


def populate(camera: Camera, street: Street, rng: np.random.Generator) -> Iterable[Thing]:
    """Sample the objects in the street."""
    yield from _vehicles(street, rng)
    yield from _pedestrians(camera, street, rng)
    yield from _cyclists(camera, street, rng)
    yield from _curbside(camera, street, rng)


def _vehicle(x: float, z: float, shape: Shape, heading: float) -> Thing:
    across = abs(np.sin(heading)) > 0.7
    width, length = (shape.length, shape.width) if across else (shape.width, shape.length)
    render = partial(render_vehicle, shape=shape, heading=heading)
    return Thing(x, z, width, length, shape.height, render)


def _overlaps(near: float, far: float, junction: tuple[float, float] | None) -> bool:
    """Return whether a vehicle from `near` to `far` would be in the junction."""
    return junction is not None and far > junction[0] - 2 and near < junction[1] + 2


def _any_car(rng: np.random.Generator) -> Shape:
    return CARS[int(rng.integers(len(CARS)))]


def _vehicles(street: Street, rng: np.random.Generator) -> Iterable[Thing]:
    """Sample traffic in the lanes, parked cars, and cross traffic."""
    bus_lane = int(rng.integers(len(street.lanes))) if rng.random() < 0.75 else -1
    crossing = rng.random() < (0.8 if bus_lane < 0 else 0.35)
    for number, (center, direction) in enumerate(street.lanes):
        heading = 0.0 if direction > 0 else np.pi
        z = rng.uniform(9, 24)
        if street.crosswalk is not None and direction > 0 and number != bus_lane:
            z = max(z, street.crosswalk + 6)
        for position in range(3):
            bus = number == bus_lane and position == 0
            shape = COACH if bus else _any_car(rng)
            if crossing and street.junction and _overlaps(z, z + shape.length, street.junction):
                z = street.junction[1] + 2
            if bus or rng.random() < 0.6:
                sway = rng.normal(0, 0.15)
                yield _vehicle(center + sway, z + shape.length / 2, shape, heading + rng.normal(0, 0.02))
            z += shape.length + rng.uniform(3, 16)
    for side, edge, parking in (
        (-1, street.left, street.parking_left),
        (1, street.right, street.parking_right),
    ):
        z = rng.uniform(4.5, 9)
        while parking and z < 45:
            shape = _any_car(rng)
            blocked = _overlaps(z, z + shape.length, street.junction)
            if rng.random() < 0.7 and not blocked:
                yield _vehicle(edge - side * 1.1, z + shape.length / 2, shape, 0.0 if side > 0 else np.pi)
            z += shape.length + rng.uniform(0.8, 3)
    if street.junction and crossing:
        shape = COACH if bus_lane < 0 and rng.random() < 0.6 else _any_car(rng)
        heading = np.pi / 2 if rng.random() < 0.5 else -np.pi / 2
        z = street.junction[0] + (0.3 if heading > 0 else 0.7) * (street.junction[1] - street.junction[0])
        yield _vehicle(rng.uniform(street.left, street.right), z, shape, heading)


def _person(x: float, z: float, sideways: float) -> Thing:
    return Thing(x, z, 0.5, 0.4, 1.7, partial(render_person, sideways=sideways))


def _sidewalk(street: Street, side: int, share: float) -> float:
    """Return a lateral position between curb (share 0) and facade (share 1), in meters."""
    curb, facade = (street.left, street.left_facade) if side < 0 else (street.right, street.right_facade)
    return curb + share * (facade - curb)


def _pedestrians(camera: Camera, street: Street, rng: np.random.Generator) -> Iterable[Thing]:
    """Sample people on the sidewalks, alone and in groups, and people who cross the road."""
    for _ in range(int(rng.integers(4, 9))):
        side = -1 if rng.random() < 0.5 else 1
        x = _sidewalk(street, side, rng.uniform(0.15, 0.85))
        nearest = max(4.5, camera.first_seen(x))
        z = nearest + rng.uniform(0, 1) ** 2.0 * (30 - nearest)
        for _ in range(1 + int(rng.random() < 0.4) + int(rng.random() < 0.25)):
            yield _person(x, z, 0.4)
            x, z = x + rng.choice([-0.65, 0.65]), z + rng.uniform(-0.4, 0.6)
    if street.crosswalk is not None or rng.random() < 0.3:
        z = (street.crosswalk or rng.uniform(7, 16)) + 0.4
        for _ in range(int(rng.integers(1, 5))):
            yield _person(rng.uniform(street.left, street.right), z + rng.uniform(0, 2.4), 0.85)


def _cyclists(camera: Camera, street: Street, rng: np.random.Generator) -> Iterable[Thing]:
    """Sample riders along the curb or across the road, and bicycles parked on the sidewalks."""
    for _ in range(int(rng.choice(4, p=(0.2, 0.4, 0.3, 0.1)))):
        view = "side" if rng.random() < 0.5 else "back" if rng.random() < 0.65 else "front"
        if view == "side":
            z = street.junction[0] + 1 if street.junction and rng.random() < 0.4 else rng.uniform(6, 16)
            x = rng.uniform(street.left, street.right)
        else:
            z = rng.uniform(6, 18)
            x = street.right - rng.uniform(0.4, 1.2) - 2 * street.parking_right
            x = street.left + rng.uniform(0.4, 1.2) + 2 * street.parking_left if view == "front" else x
        length = 0.5 if view == "side" else 1.6
        yield Thing(x, z, 2.1 - length, length, 1.7, partial(render_rider, view=view))
    for _ in range(int(rng.choice(3, p=(0.5, 0.3, 0.2)))):
        side = -1 if rng.random() < 0.5 else 1
        x = _sidewalk(street, side, rng.uniform(0.2, 0.9))
        z = max(6.0, camera.first_seen(x)) + rng.uniform(0, 8)
        for number in range(int(rng.integers(1, 4))):
            yield Thing(x, z + 0.8 * number, 1.5, 0.4, 0.9, render_parked_bicycle)


def _curbside(camera: Camera, street: Street, rng: np.random.Generator) -> Iterable[Thing]:
    """Sample lamp posts, trees, signs and traffic lights along both curbs."""
    for side in (-1, 1):
        x = _sidewalk(street, side, 0.12)
        nearest = max(4.0, camera.first_seen(x))
        for z in np.arange(nearest + rng.uniform(0, 8), 38, rng.uniform(12, 20)):
            render = partial(render_lamp_post, inward=-side) if rng.random() < 0.75 else render_mast
            yield Thing(x, float(z), 0.25, 0.25, 6.0, render)
        if rng.random() < 0.4:
            for z in np.arange(nearest + rng.uniform(2, 12), 60, rng.uniform(8, 14)):
                yield Thing(_sidewalk(street, side, 0.25), float(z), 0.8, 0.8, 6.0, render_tree)
        for _ in range(int(rng.choice(3, p=(0.25, 0.45, 0.3)))):
            z = nearest + rng.uniform(0, 16)
            yield Thing(_sidewalk(street, side, rng.uniform(0.08, 0.3)), z, 0.2, 0.2, 2.5, render_sign)
        if rng.random() < 0.6:
            stop = street.crosswalk or (street.junction[0] - 1 if street.junction else nearest)
            z = min(max(stop, nearest + 0.5) + rng.uniform(0, 5), 26.0)
            light = partial(render_traffic_light, inward=-side, arm=bool(rng.random() < 0.3))
            yield Thing(_sidewalk(street, side, 0.1), z, 0.2, 0.2, 2.5, light)
