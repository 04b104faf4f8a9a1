"""Where the files that ship with the program lie, and where it keeps what it computed once."""

import os
import stat
from pathlib import Path

from uap.utils.errors import InputError

PACKAGE = Path(__file__).parents[1]

LONGEST = 250
"""Text that is longer names no file."""


def shipped(name: str) -> Path:
    """Return the path of a file below `configs/` or `checkpoints/`, in an installed wheel or in a checkout."""
    installed = PACKAGE / "shipped" / name
    return installed if installed.exists() else PACKAGE.parent / name


def find(name: str) -> Path:
    """Return a path as it stands where it exists, else the shipped file of that name."""
    path, own = Path(name), shipped(name)
    return own if own.exists() and not path.exists() else path


_folders: list[Path] = []


def remember(folder: Path) -> None:
    """Remember the folder of a configuration, which relative paths may start in."""
    if folder not in _folders:
        _folders.append(folder)


def sought(path: str | Path) -> str:
    """Return where a path that was not found was looked for, a space before it; nothing of an absolute one."""
    if Path(path).is_absolute():
        return ""
    folders = dict.fromkeys([Path.cwd(), *_folders])
    return f" in {' or '.join(map(str, folders))}"


def cache_folder() -> Path:
    """Return the folder of what can be computed again: `UAP_CACHE`, by default `~/.cache/uap`."""
    return Path(os.environ.get("UAP_CACHE", "~/.cache/uap")).expanduser()


def check_file(path: Path, kind: str = "file", advice: str = "Check the path.") -> None:
    """Check that there is a file and that this user may read it.

    Args:
        path: where.
        kind: what the message calls it.
        advice: what to do where there is none.

    Raises:
        InputError: there is none, or it may not be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"There is no {kind} {path}: what has that name is a folder, or no plain file. {advice}")
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # the last of a name with a NUL
        raise InputError(f"There is no {kind} {path}{sought(path)}. {advice}") from error
    except OSError as error:
        raise InputError(
            f"The {kind} {path} cannot be read ({error.strerror}). Check its permissions and those of its folders."
        ) from error
