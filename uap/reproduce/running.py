"""Runs points: what is done is skipped, what was cut off is resumed, and the time that is left is said."""

import gc
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
import yaml
from filelock import FileLock, Timeout
from pytorch_lightning.loggers import WandbLogger

from uap import __version__, attack_images, fit, transfer
from uap.cli import RunCLI
from uap.errors import InputError
from uap.progress import is_quiet
from uap.reproduce.points import Point
from uap.scoring.tables import json_text, write

RECORD = "point.json"
"""What the folder of a point that is done says of how it was made."""

CONFIG = "point.yaml"
"""The configuration that a point is started with."""

LOCK = "lock"
"""The file that says that a command runs this point; the system frees it with the process, however that ends."""


def versions() -> str:
    """Return what a result depends on beside its configuration."""
    return (
        f"uap {__version__}, torch {torch.__version__}, Lightning {version('pytorch-lightning')}, "
        f"Python {platform.python_version()}"
    )


def versions_of(folder: Path) -> str:
    """Return with which versions a point that is done was run."""
    return str(json.loads((folder / RECORD).read_text())["versions"])


def is_done(folder: Path) -> bool:
    """Return whether a point has run to its end."""
    return (folder / RECORD).is_file()


def evaluations(point: Point) -> int:
    """Return how many gradient evaluations a point takes, 0 where its configuration does not say."""
    if point.door == "transfer":
        return 0
    if point.door == "attack":
        steps, images = point.arguments.get("steps"), point.arguments.get("images")
    else:
        steps, images = point.setting("trainer.max_epochs"), point.setting("data.init_args.limit")
    return (steps or 0) * (images or 0)


def time_left(todo: list[Point], measured: list[tuple[Point, float]]) -> float | None:
    """Return about how many seconds some points take, None where nothing was measured.

    It goes by the time of a gradient evaluation where a point says how many it takes, else by the mean time of the
    points of its door.

    Args:
        todo: the points.
        measured: points that were run, and the seconds that they took.
    """
    if not measured:
        return None
    counted = [(evaluations(point), seconds) for point, seconds in measured if evaluations(point)]
    pace = sum(seconds for _, seconds in counted) / sum(count for count, _ in counted) if counted else 0.0

    def mean(door: str) -> float:
        times = [seconds for point, seconds in measured if point.door == door] or [seconds for _, seconds in measured]
        return sum(times) / len(times)

    return sum(pace * evaluations(point) or mean(point.door) for point in todo)


def about(seconds: float) -> str:
    """Return a time in words: about 12 minutes, about 1 hour 20 minutes."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count} {unit}{'s' * (count > 1)}" for count, unit in ((hours, "hour"), (minutes, "minute")) if count]
    return " ".join(["about", *parts])


def run_points(points: list[Point], out: Path) -> None:
    """Run what is not done yet, each point in its folder below `out`.

    A transfer whose perturbation is not learnt yet, by another shard, is left for a later start.

    Raises:
        InputError: what a door refuses; the message names the point.
    """
    todo = [point for point in points if not is_done(out / point.folder)]
    measured = _measured(points, out)
    for index, point in enumerate(todo):
        if point.learnt and not is_done(out / point.learnt.folder):
            print(f"{point.title} waits for the perturbation of {point.learnt.title}, which another shard learns.")
            continue
        left = time_left(todo[index:], measured)
        if not is_quiet():
            number, end = len(points) - len(todo) + index + 1, f": {about(left)} left" if left is not None else ""
            print(f"\npoint {number} of {len(points)}, {point.title}{end}", flush=True)
        with alone(point, out):
            seconds = None if is_done(out / point.folder) else run_point(point, out)
        measured += [(point, seconds)] if seconds else []


@contextmanager
def alone(point: Point, out: Path) -> Iterator[None]:
    """Hold a point against other commands, such as another table's; wait for one that has it."""
    (out / point.folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / point.folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{point.title} waits for another command that runs it.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_point(point: Point, out: Path) -> float | None:
    """Run a point, from its last checkpoint where it was cut off; returns its seconds, None where it was resumed.

    Raises:
        InputError: what its door refuses.
    """
    folder = out / point.folder
    config = {key: value for key, value in point.config.items() if key not in ("ckpt_path", "quiet")}
    write(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    start, was_resumed = time.monotonic(), _checkpoint(folder).is_file()
    try:
        DOORS[point.door](point, folder)
    except InputError as error:
        raise InputError(f"{point.title}: {error}") from error
    gc.collect()  # a trainer and its workers go before the next ones come
    seconds = None if was_resumed else round(time.monotonic() - start, 1)
    write(folder / RECORD, json_text({"title": point.title, "seconds": seconds, "versions": versions()}))
    return seconds


def _measured(points: list[Point], out: Path) -> list[tuple[Point, float]]:
    done = [(point, out / point.folder / RECORD) for point in points]
    found = [(point, json.loads(path.read_text())["seconds"]) for point, path in done if path.is_file()]
    return [(point, seconds) for point, seconds in found if seconds]


def _checkpoint(folder: Path) -> Path:
    return folder / "checkpoints" / "last.ckpt"


def _fit(point: Point, folder: Path) -> None:
    checkpoint = _checkpoint(folder)
    resumed = [f"--ckpt_path={checkpoint}"] if checkpoint.is_file() else []
    _end_dashboard(fit.main([*_started(folder), *resumed]))


def _attack(point: Point, folder: Path) -> None:
    _end_dashboard(attack_images.main([*_started(folder), *_options(point)]))


def _transfer(point: Point, folder: Path) -> None:
    if point.learnt is None:
        raise RuntimeError("a transfer was planned without a perturbation")
    run = str(folder.parent / point.learnt.folder)
    transfer.main([run, "--onto", str(folder / CONFIG), "--out", str(folder), *_options(point)])


def _started(folder: Path) -> list[str]:
    return [f"--config={folder / CONFIG}", f"--trainer.default_root_dir={folder}"]


def _end_dashboard(cli: RunCLI) -> None:
    """End the run in W&B, or the next point would log into it."""
    for logger in cli.trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def _options(point: Point) -> list[str]:
    return [f"--{name}={value}" for name, value in point.arguments.items()]


DOORS = {"fit": _fit, "attack": _attack, "transfer": _transfer}
