"""The folder of a run: found, made, and never that of another run."""

import contextlib
import errno
import os
import time
from itertools import count
from pathlib import Path

from uap.utils.errors import InputError

RUN_FOLDER = "UAP_RUN_FOLDER"
"""The environment variable by which the process that starts others for DDP tells them the run folder."""

LAST = Path("checkpoints") / "last.ckpt"
"""Where in its folder a run keeps what it can be resumed from."""

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
"""What the system says of a place that cannot be written, however much room there is."""


def go_on(folder: Path) -> str:
    """Return what resumes the run of a folder, as a command line has it."""
    return f"--config {folder / 'config.yaml'} --ckpt_path {folder / LAST}"


def resume_hint() -> str:
    """Return a sentence on how to go on where this process's run has a checkpoint, a space before it."""
    folder = os.environ.get(RUN_FOLDER)
    is_there = folder is not None and (Path(folder) / LAST).exists()
    return f" The last checkpoint is whole: go on with {go_on(Path(folder or ''))}." if is_there else ""


def no_room(path: str | os.PathLike[str], error: Exception) -> str:
    """Return what to say where a file cannot be written, and how to go on where the run has a checkpoint."""
    is_refused = isinstance(error, OSError) and error.errno in REFUSED
    advice = "Make its folder one that may be written" if is_refused else "Make room on the disk"
    return f"{path} cannot be written ({error}). {advice}.{resume_hint()}"


def is_first() -> bool:
    """Return whether this process is the one that starts others, or stands for its node; SLURM starts all alike."""
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0"


def run_folder(given: str | None, resumed: str | None, name: str) -> Path:
    """Return the folder of a run, made and writable.

    The one that is given; else that of the checkpoint that is resumed; else a new `runs/<time>-<name>`.

    Raises:
        InputError: the folder cannot be written, or holds another run that would be lost.
    """
    if "\0" in (given or ""):
        raise InputError(f"No folder can be called {given!r}. Set another --trainer.default_root_dir.")
    parents = Path(resumed).absolute().parents if resumed else []
    if given is not None:
        folder = Path(given)
    elif resumed and parents[0].name == "checkpoints":
        folder = parents[1]
    else:
        folder = _new_folder(f"{time.strftime('%Y%m%d-%H%M%S')}-{name}")
    os.environ[RUN_FOLDER] = str(folder)
    own = folder.absolute() / LAST
    if is_first() and own.exists() and own.parent not in parents:
        raise InputError(
            f"{folder} already holds a run. Continue it with --ckpt_path {folder / LAST}, or set another "
            "--trainer.default_root_dir."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"The run folder {folder} cannot be written ({error}). Set another --trainer.default_root_dir."
        ) from error
    return folder


def _new_folder(name: str) -> Path:
    """Return `runs/NAME`, with a number behind it where another run began in the same second."""
    if not is_first():
        return Path(os.environ.get(RUN_FOLDER, Path("runs") / name))
    names = (Path("runs") / (f"{name}-{i}" if i > 1 else name) for i in count(1))
    return next(folder for folder in names if not folder.exists())


def discard_empty() -> None:
    """Remove the folder of a run that could not begin, if nothing is in it."""
    if RUN_FOLDER in os.environ:
        with contextlib.suppress(OSError):
            Path(os.environ[RUN_FOLDER]).rmdir()


def unique_names(places: list[Path]) -> list[str]:
    """Return short names: the last part of each path, with as many parents as tell all of them apart.

    Raises:
        InputError: a place is given twice.
    """
    parts = [(place.with_suffix("") if place.is_file() else place).resolve().parts for place in places]
    twice = [place for i, place in enumerate(places) if parts[i] in parts[:i]]
    if twice:
        raise InputError(f"{twice[0]} was given twice, expected different ones. Name each once.")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]
