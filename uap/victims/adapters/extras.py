"""Libraries that only some victims need and that an extra of the package installs."""

import importlib
from types import ModuleType

from uap.utils.errors import InputError


def library(name: str, extra: str) -> ModuleType:
    """Import a library.

    Raises:
        InputError: it is not installed; the message names the extra that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"This victim needs {name} ({error}). Install it: pip install -e '.[{extra}]'.") from error
