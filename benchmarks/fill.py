"""How long the nearest-neighbor fill of a dynamic target takes on a map of 512 x 1024, on one thread.

    python -m benchmarks.fill [--times 50]

Against SciPy's distance transform of the whole map. The maps have 12 and 30 people, each an upright ellipse, and one
crowd, half the width of the map.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from uap.objectives.hide_classes import fill_hidden

SIZE = (512, 1024)
Map = NDArray[np.uint8]


def people(count: int) -> Map:
    """Return a map of three classes with people, class 11."""
    draw, found = np.random.default_rng(count), np.zeros(SIZE, np.uint8)
    found[200:], found[:, 700:] = 1, 2
    for _ in range(count):
        height = int(draw.integers(20, 120))
        middle = (int(draw.integers(0, SIZE[1])), int(draw.integers(200, 400)))
        cv2.ellipse(found, middle, (max(height // 6, 2), height // 2), 0, 0, 360, 11, -1)
    return found


def crowd() -> Map:
    """Return a map with one wide region of people."""
    found = people(0)
    found[220:380, 200:712] = 11
    return found


def whole(found: Map) -> Map:
    """Fill by the distance transform of the whole map."""
    rows, columns = distance_transform_edt(found == 11, return_distances=False, return_indices=True)
    filled: Map = found[rows, columns]
    return filled


def milliseconds(fill: Callable[[Map], Map], found: Map) -> float:
    """Return how long a fill takes."""
    start = time.perf_counter()
    fill(found)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    """Read the command line and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fill", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=50, help="turns of each way (default: %(default)s)")
    times = parser.parse_args().times
    cv2.setNumThreads(1)
    ways = {"ours": lambda found: fill_hidden(found, found == 11), "whole map": whole}
    for title, found in {"12 people": people(12), "30 people": people(30), "a crowd": crowd()}.items():
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(times):
            for name, way in ways.items():
                taken[name].append(milliseconds(way, found))
        medians = {name: statistics.median(values) for name, values in taken.items()}
        print(f"{title:<12}" + "".join(f"{name} {value:>6.1f} ms   " for name, value in medians.items()))


if __name__ == "__main__":
    main()
