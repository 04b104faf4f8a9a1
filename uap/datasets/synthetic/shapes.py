"""The side profiles of cars and buses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The side profile of a vehicle.

    Attributes:
        length: in meters.
        width: in meters.
        height: in meters.
        profile: points (along, up) from tail to nose over the top, in lengths and heights of the vehicle.
        glass: indices of the segments of the profile that are windows.
        belt: height of the window sills, in heights of the vehicle.
        cabin: first and last index (exclusive) of the profile points above the side windows.
        taper: decrease of the width from belt to roof, as a share of the width.
    """

    length: float
    width: float
    height: float
    profile: tuple[tuple[float, float], ...]
    glass: tuple[int, ...]
    belt: float
    cabin: tuple[int, int]
    taper: float


SEDAN = Shape(
    4.5, 1.8, 1.45,
    (
        (-0.5, 0.2), (-0.5, 0.45), (-0.48, 0.66), (-0.36, 0.68), (-0.24, 0.99),
        (0.06, 1.0), (0.22, 0.68), (0.45, 0.58), (0.5, 0.42), (0.5, 0.2),
    ),
    (3, 5), 0.66, (3, 7), 0.24,
)  # fmt: skip
HATCHBACK = Shape(
    4.0, 1.76, 1.5,
    (
        (-0.5, 0.2), (-0.5, 0.5), (-0.47, 0.64), (-0.38, 0.98), (0.06, 1.0),
        (0.24, 0.66), (0.45, 0.56), (0.5, 0.4), (0.5, 0.2),
    ),
    (2, 4), 0.64, (2, 6), 0.2,
)  # fmt: skip
SUV = Shape(
    4.6, 1.9, 1.75,
    (
        (-0.5, 0.22), (-0.5, 0.5), (-0.48, 0.64), (-0.43, 0.98), (0.1, 1.0),
        (0.24, 0.66), (0.46, 0.6), (0.5, 0.45), (0.5, 0.22),
    ),
    (2, 4), 0.64, (2, 6), 0.16,
)  # fmt: skip
VAN = Shape(
    5.0, 1.95, 2.1,
    (
        (-0.5, 0.16), (-0.5, 0.5), (-0.49, 0.56), (-0.47, 0.98), (0.2, 1.0),
        (0.34, 0.6), (0.47, 0.5), (0.5, 0.36), (0.5, 0.16),
    ),
    (2, 4), 0.56, (2, 6), 0.1,
)  # fmt: skip
COACH = Shape(
    11.0, 2.5, 3.1,
    (
        (-0.5, 0.1), (-0.5, 0.5), (-0.497, 0.52), (-0.49, 0.85), (-0.485, 0.98),
        (0.485, 1.0), (0.495, 0.86), (0.5, 0.38), (0.5, 0.36), (0.5, 0.1),
    ),
    (2, 6), 0.42, (2, 7), 0.04,
)  # fmt: skip
CARS = (SEDAN, HATCHBACK, HATCHBACK, SUV, VAN)
