"""Time from the start of `uap.fit` to its help, and to the first step of the default experiment.

    python -m benchmarks.start [--times 3]

Each measurement starts in an empty folder with an empty cache. The first start renders and predicts the scenes. The
second start reuses them. A step ends when it is in metrics.csv. Then the run is killed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "uap.fit"]


def seconds_to_help(folder: Path) -> float:
    """Return the time until the help is printed, in seconds."""
    start = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def seconds_to_first_step(folder: Path, name: str) -> float:
    """Return the time until the first step of a run is logged, in seconds.

    Raises:
        SystemExit: the run ended before; the message is its output.
    """
    start, metrics = time.perf_counter(), folder / name / "metrics.csv"
    command = [*COMMAND, "--trainer.default_root_dir", name]
    with (folder / "log.txt").open("w") as log:
        run = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        while not metrics.exists() or len(metrics.read_text().splitlines()) < 2:
            if run.poll() is not None:
                raise SystemExit((folder / "log.txt").read_text())
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        run.kill()
        run.wait()
    return seconds


def main() -> None:
    """Read the command line and print the medians."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.start", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--times", type=int, default=3, help="number of measurements (default: %(default)s)")
    times = parser.parse_args().times
    found: dict[str, list[float]] = {"help": [], "first start": [], "second start": []}
    here = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    for _ in range(times):
        with tempfile.TemporaryDirectory() as scratch:
            os.environ |= {"UAP_CACHE": f"{scratch}/cache", "PYTHONPATH": here, "WANDB_MODE": "offline"}
            folder = Path(scratch)
            found["help"].append(seconds_to_help(folder))
            found["first start"].append(seconds_to_first_step(folder, "first"))
            found["second start"].append(seconds_to_first_step(folder, "second"))
    for name, seconds in found.items():
        print(f"{name:<14}{statistics.median(seconds):>8.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
