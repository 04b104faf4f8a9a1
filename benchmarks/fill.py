"""Time of the nearest-neighbor fill of a dynamic target for a label map of 512 x 1024, on one thread.

    python -m benchmarks.fill [--times 50]

Compares it with SciPy's distance transform of the whole map. One map has 12 people, one has 30, each an upright
ellipse, and one has a crowd of half the width of the map.
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
LabelMap = NDArray[np.uint8]


def people(count: int) -> LabelMap:
    """Return a label map of three classes with people, class 11."""
    rng, labels = np.random.default_rng(count), np.zeros(SIZE, np.uint8)
    labels[200:], labels[:, 700:] = 1, 2
    for _ in range(count):
        height = int(rng.integers(20, 120))
        middle = (int(rng.integers(0, SIZE[1])), int(rng.integers(200, 400)))
        cv2.ellipse(labels, middle, (max(height // 6, 2), height // 2), 0, 0, 360, 11, -1)
    return labels


def crowd() -> LabelMap:
    """Return a label map with one wide region of people."""
    labels = people(0)
    labels[220:380, 200:712] = 11
    return labels


def whole(labels: LabelMap) -> LabelMap:
    """Fill the people by the distance transform of the whole map."""
    rows, columns = distance_transform_edt(labels == 11, return_distances=False, return_indices=True)
    filled: LabelMap = labels[rows, columns]
    return filled


def milliseconds(fill: Callable[[LabelMap], LabelMap], labels: LabelMap) -> float:
    """Return the time of a fill, in milliseconds."""
    start = time.perf_counter()
    fill(labels)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    """Read the command line and print the medians."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fill", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--times", type=int, default=50, help="measurements of each variant (default: %(default)s)")
    times = parser.parse_args().times
    cv2.setNumThreads(1)
    variants = {"ours": lambda labels: fill_hidden(labels, labels == 11), "whole map": whole}
    for title, labels in {"12 people": people(12), "30 people": people(30), "a crowd": crowd()}.items():
        taken: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(times):
            for name, variant in variants.items():
                taken[name].append(milliseconds(variant, labels))
        medians = {name: statistics.median(values) for name, values in taken.items()}
        print(f"{title:<12}" + "".join(f"{name} {value:>6.1f} ms   " for name, value in medians.items()))


if __name__ == "__main__":
    main()
