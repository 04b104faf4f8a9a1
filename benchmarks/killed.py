"""Runs that are killed at random moments, resumed, and compared with the run that was not.

    python -m benchmarks.killed [--times 30] [--seed 0] [more of uap.fit's]

Each time `uap.fit` starts in a folder of its own and is ended by `kill -9`, it and its workers, at a moment drawn
evenly over the time that the whole run took; what is left is resumed from `last.ckpt`, or started anew where there is
none yet, with the configuration that the run has written, as a user would; every second kill waits from there for the
next moment at which a checkpoint is being written. Every third run draws its scenes and fills its cache itself; the
others find them. The perturbation and metrics.csv must be the whole run's to the last bit. One thread, CPU.
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

from uap.universal.perturbation import load_perturbation
from uap.utils.run_folder import LAST, resume_arguments

ENDED, WRITING = "it had ended", "while a checkpoint was written"
"""Moments: the first is no kill; without one of the second the command shows too little."""

SMALL = ["--data.scenes=12", "--data.scored_scenes=2", "--data.batch_size=2", "--trainer.max_epochs=5"]
"""A run of 30 steps and 5 checkpoints on the drawn scenes, with workers."""


def start(folder: Path, arguments: list[str]) -> subprocess.Popen[str]:
    """Start `uap.fit` in a folder; resumed where it holds a checkpoint."""
    resumed = resume_arguments(folder).split() if (folder / LAST).exists() else arguments
    command = [sys.executable, "-m", "uap.fit", *resumed, f"--trainer.default_root_dir={folder}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    if "--data.root" in " ".join(arguments):
        environment |= {"UAP_CACHE": f"{folder}-cache"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload, no-any-return]


def finish(folder: Path, arguments: list[str]) -> float:
    """Run to the end and return the seconds it took."""
    begin = time.monotonic()
    process = start(folder, arguments)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{folder} ended with {process.returncode}:\n{errors}")
    return time.monotonic() - begin


def kill(folder: Path, arguments: list[str], after: float, writing: bool) -> str:
    """Kill a run after some seconds, or then at the next checkpoint, and return how far it had come."""
    process = start(folder, arguments)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        while writing and process.poll() is None and not half_written(folder):
            time.sleep(0.0002)
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    written = {path.name for path in folder.rglob("*")}
    if process.returncode == 0:
        return ENDED
    if half_written(folder):
        return WRITING
    if "metrics.json" in written:
        return "while the figures were written"
    return "after a checkpoint" if "last.ckpt" in written else "before the first checkpoint"


def half_written(folder: Path) -> bool:
    """Return whether a checkpoint is being written."""
    try:
        return any(".tmp" in name for name in os.listdir(folder / "checkpoints"))
    except FileNotFoundError:
        return False


def same(one: Path, other: Path) -> bool:
    """Return whether two runs learned the same, step by step."""
    # the metadata of the perturbation's file says how many seconds the run took
    files = ["perturbation.png", "metrics.csv", "per_image.csv"]
    learned = [load_perturbation(folder / "perturbation.safetensors")[0].proto for folder in (one, other)]
    return torch.equal(*learned) and all((one / name).read_bytes() == (other / name).read_bytes() for name in files)


def main() -> None:
    """Read the command line and print how often it went well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.killed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=30, help="kills before the end of a run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    given, further = parser.parse_known_args()
    draw = random.Random(given.seed)
    moments: Counter[str] = Counter()
    identical = 0
    with tempfile.TemporaryDirectory() as place:
        arguments = SMALL + further
        whole = Path(place) / "whole"
        seconds = finish(whole, arguments)
        for number in itertools.count(1):
            if moments.total() - moments[ENDED] == given.times:
                break
            folder = Path(place) / f"killed{number}"
            own = [*arguments, f"--data.root={folder}-scenes"] if number % 3 == 0 else arguments
            after = draw.uniform(0, seconds)
            moment = kill(folder, own, after, writing=number % 2 == 0)
            finish(folder, own)
            moments[moment] += 1
            identical += same(folder, whole)
            print(f"{number}: killed after {after:.1f} of {seconds:.1f} s, {moment}; {identical} identical", flush=True)
    ended = moments.pop(ENDED, 0)
    kills = moments.total()
    print(f"{identical - ended} of {kills} resumed runs are the whole run's to the last bit; they were killed")
    for moment, count in moments.most_common():
        print(f"{count:>4} {moment}")
    print(f"{ended} more had just ended")
    raise SystemExit(identical - ended != kills or WRITING not in moments)


if __name__ == "__main__":
    main()
