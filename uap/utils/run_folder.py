"""The folder of a run: its path, its creation, and protection against overwriting another run."""

import contextlib
import errno
import os
import time
from itertools import count
from pathlib import Path

from uap.utils.errors import InputError

RUN_FOLDER = "UAP_RUN_FOLDER"
"""The environment variable in which the first process of a node passes the run folder to the others."""

LAST = Path("checkpoints") / "last.ckpt"
"""Path of the checkpoint to resume from, relative to the run folder."""

NOT_PERMITTED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
"""Error numbers of paths that cannot be written for another reason than a full disk."""


def resume_arguments(folder: Path) -> str:
    """Return the command line arguments that resume the run in a folder."""
    return f"--config {folder / 'config.yaml'} --ckpt_path {folder / LAST}"


def resume_hint() -> str:
    """Return a sentence, after a space, on how to resume the run of this process; empty if it has no checkpoint."""
    folder = os.environ.get(RUN_FOLDER)
    if folder is None or not (Path(folder) / LAST).exists():
        return ""
    return f" The last checkpoint is complete: resume with {resume_arguments(Path(folder))}."


def write_error_message(path: str | os.PathLike[str], error: Exception) -> str:
    """Return the message for a file that cannot be written, with advice and how to resume the run."""
    is_permission = isinstance(error, OSError) and error.errno in NOT_PERMITTED
    advice = "Make its folder writable" if is_permission else "Make room on the disk"
    return f"{path} cannot be written ({error}). {advice}.{resume_hint()}"


def is_local_rank_zero() -> bool:
    """Return whether this process is the first of its node, also before torch.distributed is initialized."""
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0"


def run_folder(given: str | None, resumed: str | None, name: str) -> Path:
    """Create the folder of a run, check that it is writable, and return it.

    Args:
        given: the folder that the user set, or None.
        resumed: the checkpoint to resume from, or None. Without `given`, its run folder is used.
        name: last part of the name of a new folder `runs/TIME-NAME`, which is used without `given` and `resumed`.

    Raises:
        InputError: the folder is not writable, or it contains another run.
    """
    if "\0" in (given or ""):
        raise InputError(
            f"{given!r} cannot be the name of a folder. Set another --trainer.default_root_dir.",
            setting="trainer.default_root_dir",
            kind="unusable_file",
        )
    parents = Path(resumed).absolute().parents if resumed else []
    if given is not None:
        folder = Path(given)
    elif resumed and parents[0].name == "checkpoints":
        folder = parents[1]
    else:
        folder = _new_folder(f"{time.strftime('%Y%m%d-%H%M%S')}-{name}")
    os.environ[RUN_FOLDER] = str(folder)
    own = folder.absolute() / LAST
    if is_local_rank_zero() and own.exists() and own.parent not in parents:
        raise InputError(
            f"{folder} already contains a run. Resume it with --ckpt_path {folder / LAST}, or set another "
            "--trainer.default_root_dir.",
            setting="trainer.default_root_dir",
            kind="conflict",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"The run folder {folder} cannot be written ({error}). Set another --trainer.default_root_dir.",
            setting="trainer.default_root_dir",
            kind="unusable_file",
        ) from error
    return folder


def _new_folder(name: str) -> Path:
    """Return `runs/NAME`, with a number appended if that folder exists."""
    if not is_local_rank_zero():
        return Path(os.environ.get(RUN_FOLDER, Path("runs") / name))
    names = (Path("runs") / (f"{name}-{i}" if i > 1 else name) for i in count(1))
    return next(folder for folder in names if not folder.exists())


def remove_empty_run_folder() -> None:
    """Remove the run folder of this process if it is empty."""
    if RUN_FOLDER in os.environ:
        with contextlib.suppress(OSError):
            Path(os.environ[RUN_FOLDER]).rmdir()


def unique_names(paths: list[Path]) -> list[str]:
    """Return a short name of each path: its last part, with as many parents as make all names different.

    Raises:
        InputError: a path is given twice.
    """
    parts = [(path.with_suffix("") if path.is_file() else path).resolve().parts for path in paths]
    twice = [path for i, path in enumerate(paths) if parts[i] in parts[:i]]
    if twice:
        raise InputError(f"{twice[0]} was given twice, expected different ones. Name each once.", kind="conflict")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]
