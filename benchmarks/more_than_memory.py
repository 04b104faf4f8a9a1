"""A run over more images than its memory holds: it is put into a control group of less memory than they take.

    python -m benchmarks.more_than_memory [--images 4000] [--gib 2] [--workers 1]

Writes pictures of noise, and runs `uap.fit` on them in a control group of `--gib` (Linux, as root). The decoded images
and the clean predictions lie on the disk, mapped into memory, so that the system may drop them and read them again.
Prints how large they are beside the group's limit, and how the run ended.
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
"""Where control groups are made, and the names of their limit and of the most that was used."""


def write_pictures(folder: Path, count: int) -> None:
    """Write so many pictures, no two alike."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        noise = Image.fromarray(generator.integers(0, 256, (SIZE[0] // 16, SIZE[1] // 16, 3), np.uint8))
        noise.resize(SIZE[::-1], Image.Resampling.BILINEAR).save(folder / f"{number:05d}.jpg")


def new_group(limit: int) -> tuple[Path, Path]:
    """Return a control group of so many bytes of memory, and the file that says how many it used at most."""
    parent = next(parent for parent in GROUPS if (parent / "cgroup.procs").exists())
    limit_name, peak_name = GROUPS[parent]
    group = parent / f"uap-{os.getpid()}"
    group.mkdir()
    (group / limit_name).write_text(str(limit))
    return group, group / peak_name


def run_in(group: Path, place: Path, workers: int) -> int:
    """Run two epochs in a control group; return the exit code."""
    settings = {
        "data": "uap.data.ImageFolder",
        "data.root": place / "images",
        "data.size": list(SIZE),
        "data.scored_share": 0.02,
        "data.num_workers": workers,
        "model.objective.image": place / "images" / "00000.jpg",
        "trainer.max_epochs": 2,
        "trainer.default_root_dir": place / "run",
    }
    config = Path(__file__).parents[1] / "configs" / "streetscenes_static.yaml"
    command = [sys.executable, "-m", "uap.fit", f"--config={config}", "--quiet"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    environment = os.environ | {"UAP_CACHE": str(place / "cache"), "WANDB_MODE": "disabled"}
    enter = f"echo $$ > {group}/cgroup.procs && exec " + '"$@"'
    return subprocess.run(["sh", "-c", enter, "sh", *command], env=environment, check=False).returncode


def main() -> None:
    """Read the command line, and print how the run ended."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.more_than_memory", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--images", type=int, default=4000, help="pictures to learn from (default: %(default)s)")
    parser.add_argument("--gib", type=float, default=2.0, help="of memory (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read pictures (default: %(default)s)")
    given = parser.parse_args()
    group, peak = new_group(int(given.gib * GIB))
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            write_pictures(place / "images", given.images)
            begin = time.monotonic()
            code = run_in(group, place, given.workers)
            minutes = (time.monotonic() - begin) / 60
            cache = sum(file.stat().st_size for file in (place / "cache").rglob("*.npy"))
            print(f"{cache / GIB:.2f} GiB of images and predictions in {given.gib:g} GiB of memory, of which")
            print(
                f"{int(peak.read_text()) / GIB:.2f} GiB were used at most; exit code {code} after {minutes:.0f} minutes"
            )
            if code == 0:
                figures = json.loads((place / "run" / "metrics.json").read_text())
                print(f"{figures['gradient_evaluations']} gradient evaluations")
    finally:
        deadline = time.monotonic() + 60
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:  # a killed run's workers notice
            time.sleep(1)
        group.rmdir()


if __name__ == "__main__":
    main()
