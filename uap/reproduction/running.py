"""Runs points: what is done is skipped, what was cut off is resumed, and the time that is left is said."""

import gc
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean

import torch
import yaml
from filelock import FileLock, Timeout
from pytorch_lightning.loggers import WandbLogger

from uap import __version__, fit, transfer
from uap import attack as attack_images
from uap.cli.lightning_cli import RunCLI
from uap.reproduction.points import Point
from uap.utils.errors import InputError
from uap.utils.progress import is_quiet
from uap.utils.run_folder import LAST, RUN_FOLDER
from uap.utils.text_tables import json_text, read_json, write

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
    return str(read_json(folder / RECORD, "versions")["versions"])


def is_done(folder: Path) -> bool:
    """Return whether a point has run to its end."""
    return (folder / RECORD).is_file()


@dataclass(frozen=True)
class Measured:
    """A point that ran from its beginning to its end.

    Attributes:
        point: the point.
        seconds: that it took.
        images: how many it learned from; 0 where it is no fit.
    """

    point: Point
    seconds: float
    images: int


def time_left(todo: list[Point], measured: list[Measured]) -> float | None:
    """Return about how many seconds some points take, None where too little was measured to tell.

    Fits and attacks go by the time of a gradient evaluation, transfers by that of a transfer. How many images there are
    of data that are taken whole, the points tell that learned from them.
    """
    whole = {m.point.data: m.images for m in measured if m.point.images is None}
    counted = [(m.point.evaluations(m.images), m.seconds) for m in measured if m.point.command != "transfer"]
    transfers = [m.seconds for m in measured if m.point.command == "transfer"]
    ahead = [point.evaluations(whole.get(point.data, 0)) for point in todo if point.command != "transfer"]
    if not all(ahead) or (ahead and not counted):
        return None
    pace = sum(seconds for _, seconds in counted) / sum(count for count, _ in counted) if ahead else 0.0
    others = sum(point.command == "transfer" for point in todo)
    return pace * sum(ahead) + (others * mean(transfers) if transfers else 0.0)


def about(seconds: float) -> str:
    """Return a time in words: about 12 minutes, about 1 hour 20 minutes."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count} {unit}{'s' * (count > 1)}" for count, unit in ((hours, "hour"), (minutes, "minute")) if count]
    return " ".join(["about", *parts])


def run_points(points: list[Point], out: Path) -> list[str]:
    """Run what is not done yet, each point in its folder below `out`.

    A transfer whose perturbation is not learned yet, by another shard, is left for a later start. A point that its
    command refuses does not stand in the way of the others.

    Returns:
        What was refused, a sentence each.
    """
    refused: list[str] = []
    todo = [point for point in points if not is_done(out / point.folder)]
    measured = _measured(points, out)
    for index, point in enumerate(todo):
        if point.learned and not is_done(out / point.learned.folder):
            print(f"{point.title} waits for the perturbation of {point.learned.title}.")
            continue
        left = time_left(todo[index:], measured)
        if not is_quiet():
            number, end = len(points) - len(todo) + index + 1, f": {about(left)} left" if left is not None else ""
            print(f"\npoint {number} of {len(points)}, {point.title}{end}", flush=True)
        try:
            with alone(point, out):
                if not is_done(out / point.folder):
                    run_point(point, out)
        except InputError as error:
            refused.append(f"{point.title}: {error}")
            print(f"error: {refused[-1]}", flush=True)
        measured += _measured([point], out)
    return refused


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


def run_point(point: Point, out: Path) -> None:
    """Run a point, from where it was cut off, and say how long that took where it ran as a whole.

    Raises:
        InputError: what its command refuses.
    """
    folder = out / point.folder
    is_new = all(path.name in (LOCK, CONFIG) for path in folder.glob("*"))
    config = {key: value for key, value in point.config.items() if key not in ("ckpt_path", "quiet")}
    write(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    start = time.monotonic()
    DOORS[point.command](point, folder)
    gc.collect()  # a trainer and its workers go before the next ones come
    seconds = round(time.monotonic() - start, 1) if is_new else None
    write(folder / RECORD, json_text({"title": point.title, "seconds": seconds, "versions": versions()}))


def _measured(points: list[Point], out: Path) -> list[Measured]:
    found = []
    for point in points:
        folder = out / point.folder
        seconds = read_json(folder / RECORD, "seconds")["seconds"] if is_done(folder) else None
        if seconds:
            fitted = read_json(folder / "metrics.json", "images")["images"] if point.command == "fit" else {}
            found.append(Measured(point, seconds, fitted.get("train", 0)))
    return found


def _fit(point: Point, folder: Path) -> None:
    checkpoint = folder / LAST
    resumed = [f"--ckpt_path={checkpoint}"] if checkpoint.is_file() else []
    _end(fit.main([*_started(folder), *resumed]))


def _attack(point: Point, folder: Path) -> None:
    _end(attack_images.main([*_started(folder), *_options(point)]))


def _transfer(point: Point, folder: Path) -> None:
    if point.learned is None:
        raise RuntimeError("a transfer was planned without a perturbation")
    run = str(folder.parent / point.learned.folder)
    transfer.main([run, "--onto", str(folder / CONFIG), "--out", str(folder), *_options(point)])


def _started(folder: Path) -> list[str]:
    return [f"--config={folder / CONFIG}", f"--trainer.default_root_dir={folder}"]


def _end(cli: RunCLI) -> None:
    """End the run in W&B, or the next point would log into it, and have no run folder."""
    for logger in cli.trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
    os.environ.pop(RUN_FOLDER, None)


def _options(point: Point) -> list[str]:
    return [f"--{name}={value}" for name, value in point.arguments.items()]


DOORS = {"fit": _fit, "attack": _attack, "transfer": _transfer}
