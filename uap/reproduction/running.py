"""Execution of trials: skips those that are done, resumes interrupted ones, and prints the estimated time left."""

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

from uap import __version__
from uap.cli.lightning_cli import RunCLI
from uap.reproduction.configuring import options
from uap.reproduction.reading import main_of
from uap.reproduction.trials import RUN, Trial
from uap.utils.errors import InputError
from uap.utils.progress import is_quiet
from uap.utils.run_folder import LAST, RUN_FOLDER
from uap.utils.text_tables import json_text, read_json, write

RECORD = "trial.json"
"""The file in a trial's folder that marks it as done; it holds the title, the seconds and the versions."""

CONFIG = "trial.yaml"
"""The file in a trial's folder with the configuration that the command reads."""

LOCK = "lock"
"""The lock file of a running trial; the operating system releases it when the process ends, for whatever reason."""


def versions() -> str:
    """Return the versions of the programs that a result depends on."""
    return (
        f"uap {__version__}, torch {torch.__version__}, Lightning {version('pytorch-lightning')}, "
        f"Python {platform.python_version()}"
    )


def versions_of(folder: Path) -> str:
    """Return the versions of the programs that ran a trial; the trial must be done."""
    return str(read_json(folder / RECORD, "versions")["versions"])


def is_done(folder: Path) -> bool:
    """Return whether a trial is complete."""
    return (folder / RECORD).is_file()


@dataclass(frozen=True)
class Measured:
    """The duration of a trial that ran without interruption.

    Attributes:
        trial: the trial.
        seconds: its duration.
        images: number of training images; 0 for the other commands.
    """

    trial: Trial
    seconds: float
    images: int


def time_left(todo: list[Trial], measured: list[Measured]) -> float | None:
    """Estimate the seconds that some trials take; None if the measurements do not suffice.

    `fit` and `attack` take the measured time for each gradient evaluation, the other commands the mean time of a trial
    of the same command. If a trial uses all images of its data, their number comes from a measured `fit` on them.
    """
    whole = {m.trial.data: m.images for m in measured if m.images and m.trial.images is None}
    counted = [(m.trial.evaluations(m.images), m.seconds) for m in measured if m.trial.has_known_cost]
    ahead = [trial.evaluations(whole.get(trial.data, 0)) for trial in todo if trial.has_known_cost]
    others: dict[str, list[float]] = {}
    for one in measured:
        others.setdefault(one.trial.command, []).append(one.seconds)
    commands = [trial.command for trial in todo if not trial.has_known_cost]
    if not all(ahead) or (ahead and not counted) or any(command not in others for command in commands):
        return None
    pace = sum(seconds for _, seconds in counted) / sum(count for count, _ in counted) if ahead else 0.0
    return pace * sum(ahead) + sum(mean(others[command]) for command in commands)


def about(seconds: float) -> str:
    """Return a duration as text, such as "about 1 hour 20 minutes"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count} {unit}{'s' * (count > 1)}" for count, unit in ((hours, "hour"), (minutes, "minute")) if count]
    return " ".join(["about", *parts])


def run_trials(trials: list[Trial], out: Path) -> list[str]:
    """Run all trials that are not done, each in its folder below `out`.

    A trial is skipped while its source is not done, which another shard may be running. If a command refuses a
    trial, the others still run.

    Returns:
        An error message for each trial that its command refused.
    """
    refused: list[str] = []
    todo = [trial for trial in trials if not is_done(out / trial.folder)]
    measured = _measured(trials, out)
    for index, trial in enumerate(todo):
        if trial.source and not is_done(out / trial.source.folder):
            print(f"{trial.title} waits for the perturbation of {trial.source.title}.")
            continue
        left = time_left(todo[index:], measured)
        if not is_quiet():
            number, end = len(trials) - len(todo) + index + 1, f": {about(left)} left" if left is not None else ""
            print(f"\ntrial {number} of {len(trials)}, {trial.title}{end}", flush=True)
        try:
            with alone(trial, out):
                if not is_done(out / trial.folder):
                    run_trial(trial, out)
        except InputError as error:
            refused.append(f"{trial.title}: {error}")
            print(f"error: {refused[-1]}", flush=True)
        measured += _measured([trial], out)
    return refused


@contextmanager
def alone(trial: Trial, out: Path) -> Iterator[None]:
    """Lock a trial, so that no other process runs it at the same time; wait while another process holds the lock."""
    (out / trial.folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / trial.folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{trial.title} waits for another command that runs it.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_trial(trial: Trial, out: Path) -> None:
    """Run a trial or resume it, and write its record; the duration is recorded only for an uninterrupted run.

    Raises:
        InputError: the command refuses the trial.
    """
    folder = out / trial.folder
    is_new = all(path.name in (LOCK, CONFIG) for path in folder.glob("*"))
    if trial.config:
        config = {key: value for key, value in trial.config.items() if key not in ("ckpt_path", "quiet")}
        write(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    start = time.monotonic()
    _run(trial, folder)
    gc.collect()  # free the trainer and its workers before the next trial creates its own
    seconds = round(time.monotonic() - start, 1) if is_new else None
    write(folder / RECORD, json_text({"title": trial.title, "seconds": seconds, "versions": versions()}))


def _measured(trials: list[Trial], out: Path) -> list[Measured]:
    found = []
    for trial in trials:
        folder = out / trial.folder
        seconds = read_json(folder / RECORD, "seconds")["seconds"] if is_done(folder) else None
        if seconds:
            has_images = trial.command == "fit" and trial.config
            images = read_json(folder / "metrics.json", "images")["images"] if has_images else {}
            found.append(Measured(trial, seconds, images.get("train", 0)))
    return found


def command_line(trial: Trial, folder: Path) -> list[str]:
    """Return the words with which its command runs a trial, or resumes it, in its folder."""
    run = str(folder.parent / trial.source.folder) if trial.source else ""
    if not trial.config:
        return [*(word.replace(RUN, run) for word in trial.words), f"--{trial.out}={folder}"]
    own = options(trial.arguments)
    if trial.command == "transfer":
        return [run, "--evaluate-on", str(folder / CONFIG), "--out", str(folder), *own]
    checkpoint = folder / LAST
    if trial.command == "fit" and checkpoint.is_file():
        own.append(f"--ckpt_path={checkpoint}")
    return [f"--config={folder / CONFIG}", f"--trainer.default_root_dir={folder}", *own]


def _run(trial: Trial, folder: Path) -> None:
    """Run the command of a trial.

    Raises:
        InputError: the command refuses the trial.
    """
    try:
        ran = main_of(trial.command, trial.title)(command_line(trial, folder))
    except SystemExit as error:
        if error.code != 2:
            raise
        raise InputError(
            f"`{trial.command_line}` is refused, see above. Correct the arguments.", kind="conflict"
        ) from error
    if isinstance(ran, RunCLI):
        _end(ran)


def _end(cli: RunCLI) -> None:
    """End the run in W&B and forget its run folder; otherwise the next trial would use both."""
    for logger in cli.trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
    os.environ.pop(RUN_FOLDER, None)
