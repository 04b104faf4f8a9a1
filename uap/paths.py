"""Where the files that ship with the program lie, and where it keeps what it computed once."""

import os
from pathlib import Path

PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """Return the path of a file below `configs/` or `checkpoints/`, in an installed wheel or in a checkout."""
    installed = PACKAGE / "shipped" / name
    return installed if installed.exists() else PACKAGE.parent / name


def find(name: str) -> Path:
    """Return a path as it stands where it exists, else the shipped file of that name."""
    path, own = Path(name), shipped(name)
    return own if own.exists() and not path.exists() else path


def cache_folder() -> Path:
    """Return the folder of what can be computed again: `UAP_CACHE`, by default `~/.cache/uap`."""
    return Path(os.environ.get("UAP_CACHE", "~/.cache/uap")).expanduser()
