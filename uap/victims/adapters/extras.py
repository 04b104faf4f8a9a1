"""Imports of optional libraries, which extras of the package install."""

import importlib
from types import ModuleType

from uap.utils.errors import InputError


def library(name: str, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        name: name of the library.
        extra: extra of this package that installs it.

    Raises:
        InputError: the library is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"This victim needs {name} ({error}). Install it: pip install -e '.[{extra}]'.",
            setting="model.victim",
            kind="not_supported",
        ) from error
