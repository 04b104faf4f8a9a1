"""Paths of shipped files and of the cache, and checks of the paths that a user gives."""

import os
import stat
from pathlib import Path

from uap.utils.errors import InputError

PACKAGE = Path(__file__).parents[1]

LONGEST = 250
"""Longest text that is tried as a file name, in characters."""


def shipped(name: str) -> Path:
    """Return the path of a file in `configs/` or `checkpoints/`, in an installed wheel or in a checkout."""
    installed = PACKAGE / "shipped" / name
    return installed if installed.exists() else PACKAGE.parent / name


def find(name: str) -> Path:
    """Return the path if it exists, or the shipped file of that name; without either, return the path."""
    path, own = Path(name), shipped(name)
    return own if own.exists() and not path.exists() else path


_folders: list[Path] = []


def remember(folder: Path) -> None:
    """Remember the folder of a configuration file. Relative paths may start there."""
    if folder not in _folders:
        _folders.append(folder)


def searched_in(path: str | Path) -> str:
    """Return ` in FOLDER or FOLDER`, the folders in which a relative path was searched; empty for an absolute path."""
    if Path(path).is_absolute():
        return ""
    folders = dict.fromkeys([Path.cwd(), *_folders])
    return f" in {' or '.join(map(str, folders))}"


def cache_folder() -> Path:
    """Return the folder for cached results: the environment variable `UAP_CACHE`, by default `~/.cache/uap`."""
    return Path(os.environ.get("UAP_CACHE", "~/.cache/uap")).expanduser()


def check_file(path: Path, kind: str = "file", advice: str = "Check the path.") -> None:
    """Check that a file exists and is readable.

    Args:
        path: the file.
        kind: name of this kind of file in the message.
        advice: last sentence of the message for a missing file.

    Raises:
        InputError: the file does not exist, is not a regular file, or is not readable.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(
                f"There is no {kind} {path}: the path is a folder or another special file. {advice}",
                kind="missing_file",
            )
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: the name contains a NUL
        raise InputError(f"There is no {kind} {path}{searched_in(path)}. {advice}", kind="missing_file") from error
    except OSError as error:
        raise InputError(
            f"The {kind} {path} cannot be read ({error.strerror}). Check its permissions and those of its folders.",
            kind="unusable_file",
        ) from error
