"""A run on more images than fit into memory: its control group has less memory than the images take.

    python -m benchmarks.more_than_memory [--images 4000] [--gib 2] [--workers 1]

Writes images of noise, and runs `uap.fit` on them in a control group of `--gib` (Linux, as root). The decoded images
and the clean predictions are files that are mapped into memory, so the system can drop them and read them again.
Prints their size, the limit of the group, and the exit code of the run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

GIB = 2**30
SIZE = (256, 512)
GROUPS = {
    Path("/sys/fs/cgroup/memory"): ("memory.limit_in_bytes", "memory.max_usage_in_bytes"),  # version 1
    Path("/sys/fs/cgroup"): ("memory.max", "memory.peak"),
}
"""The folders of control groups, and the names of the files with their limit and their peak."""


def write_images(folder: Path, count: int) -> None:
    """Write a number of different images."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        noise = Image.fromarray(generator.integers(0, 256, (SIZE[0] // 16, SIZE[1] // 16, 3), np.uint8))
        noise.resize(SIZE[::-1], Image.Resampling.BILINEAR).save(folder / f"{number:05d}.jpg")


def new_group(limit: int) -> tuple[Path, Path]:
    """Return a new control group with a limit in bytes, and the file with its peak memory."""
    parent = next(parent for parent in GROUPS if (parent / "cgroup.procs").exists())
    limit_name, peak_name = GROUPS[parent]
    group = parent / f"uap-{os.getpid()}"
    group.mkdir()
    (group / limit_name).write_text(str(limit))
    return group, group / peak_name


def run_in(group: Path, folder: Path, workers: int) -> int:
    """Run two epochs in a control group; return the exit code."""
    settings = {
        "data": "uap.data.ImageFolder",
        "data.root": folder / "images",
        "data.size": list(SIZE),
        "data.scored_share": 0.02,
        "data.num_workers": workers,
        "model.objective.image": folder / "images" / "00000.jpg",
        "trainer.max_epochs": 2,
        "trainer.default_root_dir": folder / "run",
    }
    config = Path(__file__).parents[1] / "configs" / "streetscenes_static.yaml"
    command = [sys.executable, "-m", "uap.fit", f"--config={config}", "--quiet"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    environment = os.environ | {"UAP_CACHE": str(folder / "cache"), "WANDB_MODE": "disabled"}
    enter = f"echo $$ > {group}/cgroup.procs && exec " + '"$@"'
    return subprocess.run(["sh", "-c", enter, "sh", *command], env=environment, check=False).returncode


def main() -> None:
    """Read the command line and print the result."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.more_than_memory", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--images", type=int, default=4000, help="training images (default: %(default)s)")
    parser.add_argument("--gib", type=float, default=2.0, help="memory in GiB (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read images (default: %(default)s)")
    given = parser.parse_args()
    group, peak = new_group(int(given.gib * GIB))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_images(folder / "images", given.images)
            begin = time.monotonic()
            code = run_in(group, folder, given.workers)
            minutes = (time.monotonic() - begin) / 60
            cache = sum(file.stat().st_size for file in (folder / "cache").rglob("*.npy"))
            print(f"{cache / GIB:.2f} GiB of images and predictions in {given.gib:g} GiB of memory")
            print(f"peak {int(peak.read_text()) / GIB:.2f} GiB; exit code {code} after {minutes:.0f} minutes")
            if code == 0:
                metrics = json.loads((folder / "run" / "metrics.json").read_text())
                print(f"{metrics['gradient_evaluations']} gradient evaluations")
    finally:
        deadline = time.monotonic() + 60
        while (
            group / "cgroup.procs"
        ).read_text() and time.monotonic() < deadline:  # the workers of a killed run end by themselves
            time.sleep(1)
        group.rmdir()


if __name__ == "__main__":
    main()
