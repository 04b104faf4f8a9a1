"""Runs that are killed at random times and resumed, compared with a run that is not killed.

    python -m benchmarks.killed [--times 30] [--seed 0] [arguments of uap.fit]

Each trial starts `uap.fit` in its own folder. `kill -9` ends the process and its workers at a time that is sampled
uniformly over the duration of the uninterrupted run. Every second kill then waits until a checkpoint is being written.
The run is resumed from `last.ckpt` with its own configuration, or started again if it has no checkpoint yet. Every
third trial renders its scenes and fills its cache itself; the others reuse them. The perturbation and metrics.csv must
be identical to those of the uninterrupted run. One thread, CPU.
"""

import argparse
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from uap.universal.perturbation_files import load_perturbation
from uap.utils.run_folder import LAST, resume_arguments

ENDED, WRITING = "after the end of the run", "while a checkpoint was written"
"""Outcomes of a kill. The first does not count. The second must occur at least once."""

SMALL = ["--data.scenes=12", "--data.scored_scenes=2", "--data.batch_size=2", "--trainer.max_epochs=5"]
"""A run of 30 steps and 5 checkpoints on synthetic scenes, with workers."""


def start(folder: Path, arguments: list[str]) -> subprocess.Popen[str]:
    """Start `uap.fit` in a folder, or resume it from the checkpoint of the folder."""
    resumed = resume_arguments(folder).split() if (folder / LAST).exists() else arguments
    command = [sys.executable, "-m", "uap.fit", *resumed, f"--trainer.default_root_dir={folder}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    if "--data.root" in " ".join(arguments):
        environment |= {"UAP_CACHE": f"{folder}-cache"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload, no-any-return]


def finish(folder: Path, arguments: list[str]) -> float:
    """Run to the end, and return the duration in seconds."""
    begin = time.monotonic()
    process = start(folder, arguments)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{folder} ended with {process.returncode}:\n{errors}")
    return time.monotonic() - begin


def kill(folder: Path, arguments: list[str], after: float, writing: bool) -> str:
    """Kill a run after some seconds, or at the next checkpoint after them, and return the outcome."""
    process = start(folder, arguments)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        while writing and process.poll() is None and not half_written(folder):
            time.sleep(0.0002)
        with contextlib.suppress(ProcessLookupError):  # the run has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    written = {path.name for path in folder.rglob("*")}
    if process.returncode == 0:
        return ENDED
    if half_written(folder):
        return WRITING
    if "metrics.json" in written:
        return "while the metrics were written"
    return "after a checkpoint" if "last.ckpt" in written else "before the first checkpoint"


def half_written(folder: Path) -> bool:
    """Return whether a checkpoint is being written."""
    try:
        return any(".tmp" in name for name in os.listdir(folder / "checkpoints"))
    except FileNotFoundError:
        return False


def are_identical(one: Path, other: Path) -> bool:
    """Return whether two runs have identical perturbations and metrics."""
    # the file of the perturbation cannot be compared: it contains the duration of the run
    files = ["perturbation.png", "metrics.csv", "per_image.csv"]
    perturbations = [load_perturbation(folder / "perturbation.safetensors")[0].proto for folder in (one, other)]
    return torch.equal(*perturbations) and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in files
    )


def main() -> None:
    """Read the command line and print how many runs are identical."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.killed", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument(
        "--times", type=int, default=30, help="number of kills before the end of a run (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the times (default: %(default)s)")
    given, further = parser.parse_known_args()
    rng = random.Random(given.seed)
    outcomes: Counter[str] = Counter()
    identical = 0
    with tempfile.TemporaryDirectory() as scratch:
        arguments = SMALL + further
        whole = Path(scratch) / "whole"
        seconds = finish(whole, arguments)
        for number in itertools.count(1):
            if outcomes.total() - outcomes[ENDED] == given.times:
                break
            folder = Path(scratch) / f"killed{number}"
            own = [*arguments, f"--data.root={folder}-scenes"] if number % 3 == 0 else arguments
            after = rng.uniform(0, seconds)
            outcome = kill(folder, own, after, writing=number % 2 == 0)
            finish(folder, own)
            outcomes[outcome] += 1
            identical += are_identical(folder, whole)
            print(
                f"{number}: killed after {after:.1f} of {seconds:.1f} s, {outcome}; {identical} identical", flush=True
            )
    ended = outcomes.pop(ENDED, 0)
    kills = outcomes.total()
    print(f"{identical - ended} of {kills} resumed runs are identical to the uninterrupted run; they were killed")
    for outcome, count in outcomes.most_common():
        print(f"{count:>4} {outcome}")
    print(f"{ended} more runs had ended before the kill")
    raise SystemExit(identical - ended != kills or WRITING not in outcomes)


if __name__ == "__main__":
    main()
