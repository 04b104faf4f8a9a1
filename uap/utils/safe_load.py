"""Safe loading of files that `torch.save` wrote: they are read as data, and no code in them is executed."""

import pickle
import re
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from uap.utils.errors import InputError
from uap.utils.paths import check_file
from uap.utils.pickled_objects import DATA, global_names, placeholders

SAVE_AGAIN = (
    "Download or save it again with tensors and numbers only. Save a network that you trust as "
    "`torch.save(network.state_dict(), path)`."
)


def safe_load(path: Path) -> object:
    """Load tensors, NumPy arrays, numbers, strings and containers of them onto the CPU.

    Raises:
        InputError: the file does not exist, is damaged, or contains other objects, which the message names.
    """
    check_file(path)
    try:
        return _load(path, [])
    except pickle.UnpicklingError as error:
        name = _refused(error)
        raise InputError(
            f"{path} is damaged or asks to run code when it is loaded{f' ({name})' if name else ''}, and was not "
            f"loaded. {SAVE_AGAIN}",
            kind="unusable_file",
        ) from error
    except Exception as error:  # a damaged file can make the reader raise any error, such as struct.error or IndexError
        raise InputError(_unreadable(path, error), kind="unusable_file") from error


def load_leaving_out(path: Path) -> tuple[object, list[str]]:
    """Load a file as `safe_load` does, and replace objects that are not data without executing their code.

    Each such object is replaced by an empty dictionary. The dictionary has the items of the object if that is a
    dictionary, and its attributes as `vars(dictionary)`. If that fails, a placeholder without content is used.

    Returns:
        The content, and the sorted names of the replaced classes and functions.

    Raises:
        InputError: the file does not exist, is damaged, or contains an object that cannot be replaced.
    """
    check_file(path)
    with suppress(Exception):  # `safe_load` below reports the error
        return _load(path, []), []
    for as_dictionaries in (True, False):
        left_out: set[str] = set()
        with suppress(Exception):
            return _load(path, placeholders(global_names(path), left_out, as_dictionaries)), sorted(left_out)
    return safe_load(path), []


def _load(path: Path, more: list[tuple[type, str]]) -> object:
    allowed: list[Any] = [*DATA, *more]
    with torch.serialization.safe_globals(allowed):
        return torch.load(path, map_location="cpu", weights_only=True)


def _refused(error: pickle.UnpicklingError) -> str:
    """Return the name of the class or function that the reader of torch refused; empty for other errors."""
    found = re.search(r"GLOBAL (\S+\.\S+|\w+) (?:was not|whose)", str(error))
    return found[1] if found else ""


def _unreadable(path: Path, error: Exception) -> str:
    with suppress(Exception):  # a damaged header can make tarfile raise any error
        if tarfile.is_tarfile(path):
            return f"{path} has the tar format that torch wrote before 2018, which cannot be read safely. {SAVE_AGAIN}"
    if "TorchScript" in str(error):
        return (
            f"{path} is a TorchScript program, not weights. Use it with uap.victims.Exported, or {_lower(SAVE_AGAIN)}"
        )
    reason = f" ({error})" if " " in str(error) else ""  # otherwise the message is a byte of the file
    return f"{path} cannot be read{reason}. It is damaged: download or save it again."


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
