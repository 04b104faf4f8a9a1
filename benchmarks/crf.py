"""Computing time and memory of a mean-field iteration of the dense CRF, by size of the image.

    OMP_NUM_THREADS=1 python -m benchmarks.crf [--classes 21] [--rounds 5]

An iteration is the bilateral filter of all classes, exact by attention, and the spatial filter. Each size runs in a
process of its own, and its memory is the growth of the peak of that process (Linux). The matrix of the kernel that is
never built is printed beside it.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.step import highest_resident_size
from uap.victims import DenseCRF, Victim

SIZES = ((30, 40), (60, 80), (90, 120), (180, 240))


def measure(height: int, width: int, classes: int, rounds: int) -> None:
    """Print the median seconds of computing time of one iteration and the growth of the memory in MiB."""
    torch.manual_seed(0)
    crf = DenseCRF(Victim(torch.nn.Conv2d(3, classes, 1)), iterations=1)
    images, unary = 255 * torch.rand(1, 3, height, width), torch.randn(1, classes, height, width)
    with torch.no_grad():
        crf.refine(unary[..., :8, :8], images[..., :8, :8])  # loads the kernels
        Path("/proc/self/clear_refs").write_text("5")
        before, times = highest_resident_size(), []
        for _ in range(rounds):
            start = time.process_time()
            crf.refine(unary, images)
            times.append(time.process_time() - start)
    print(statistics.median(times), highest_resident_size() - before)


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure(given.one[0], given.one[1], given.classes, given.rounds)
        return
    print(f"one iteration, {given.classes} classes, {torch.get_num_threads()} threads")
    for height, width in SIZES:
        words = ["--classes", str(given.classes), "--rounds", str(given.rounds), "--one", str(height), str(width)]
        command = [sys.executable, "-m", "benchmarks.crf", *words]
        seconds, growth = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        matrix = 4 * (height * width) ** 2 / 2**20
        print(
            f"{height} x {width}: {seconds:.2f} s, {growth:.0f} MiB (the matrix would take {matrix:.0f} MiB)",
            flush=True,
        )


if __name__ == "__main__":
    main()
