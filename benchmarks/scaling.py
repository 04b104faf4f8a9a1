"""Weak scaling: images per second of two processes and of one, with equal batches in each process.

    python -m benchmarks.scaling [--times 3] [--images 96]

Each process has one thread. Runs of one and of two processes alternate. Both use synthetic scenes and the network that
ships. Two processes learn from twice as many images. The images per second are those of the closing table of the run,
without validation.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def images_per_second(processes: int, images: int, folder: Path) -> float:
    """Return the images per second of a run with one pass over the images."""
    out = folder / f"{processes}"
    settings = {
        "trainer.devices": processes,
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": 1,
        "trainer.logger": "false",
        "trainer.callbacks": "null",
        "trainer.default_root_dir": out,
        "data.limit": images * processes,
        "data.scored_scenes": 2,
        "data.num_workers": 0,
    }
    command = [sys.executable, "-m", "uap.fit", "--quiet", *(f"--{name}={value}" for name, value in settings.items())]
    here = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": here},
        check=True,
        capture_output=True,
    )
    found = json.loads((out / "metrics.json").read_text())
    (out / "checkpoints" / "last.ckpt").unlink()
    return float(found["images_per_second"])


def main() -> None:
    """Read the command line and print the rates."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--times", type=int, default=3, help="runs of each number of processes (default: %(default)s)")
    parser.add_argument("--images", type=int, default=96, help="images per process (default: %(default)s)")
    given = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.times):
            for processes, found in rates.items():
                found.append(images_per_second(processes, given.images, Path(folder)))
    for processes, found in rates.items():
        print(f"{processes} processes: {statistics.median(found):.2f} images per second ({min(found)} to {max(found)})")
    ratios = [two / one / 2 for one, two in zip(rates[1], rates[2], strict=True)]
    spread = f"{min(ratios):.0%} to {max(ratios):.0%}"
    print(f"each of two processes reaches {statistics.median(ratios):.0%} of the rate of one alone ({spread})")


if __name__ == "__main__":
    main()
