"""Files that torch saved, read as data and never as code."""

import pickle
import re
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from uap.utils.errors import InputError
from uap.utils.paths import check_file
from uap.utils.pickled_objects import DATA, global_names, placeholders

SAVE_AGAIN = (
    "Download or save it again, as tensors and numbers alone: a network's as `torch.save(network.state_dict(), path)`, "
    "where you trust it."
)


def safe_load(path: Path) -> object:
    """Read tensors, NumPy arrays, numbers, strings and containers of them onto the CPU; nothing else is executed.

    Raises:
        InputError: no such file, or it is damaged, or it holds anything else, which the message names.
    """
    check_file(path)
    try:
        return _load(path, [])
    except pickle.UnpicklingError as error:
        name = _refused(error)
        raise InputError(
            f"{path} is damaged or asks to run code when it is loaded{f' ({name})' if name else ''}, and was not "
            f"loaded. {SAVE_AGAIN}"
        ) from error
    except Exception as error:  # a damaged file makes the reader raise anything, struct.error and IndexError included
        raise InputError(_unreadable(path, error)) from error


def load_leaving_out(path: Path) -> tuple[object, list[str]]:
    """Read a file as `safe_load` does, with every object that is not data left out, unexecuted.

    In the place of such an object stands an empty dictionary: with its items, where the object is a kind of dictionary,
    and with its attributes as `vars(dictionary)`; or an object without either.

    Returns:
        The content, and the classes and functions that were left out, by name.

    Raises:
        InputError: no such file, or it is damaged, or it holds something that cannot be left out.
    """
    check_file(path)
    with suppress(Exception):  # what is wrong is said by `safe_load` below
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
    """Return the name of the class or function that torch's reader refused, nothing where it was something else."""
    found = re.search(r"GLOBAL (\S+\.\S+|\w+) (?:was not|whose)", str(error))
    return found[1] if found else ""


def _unreadable(path: Path, error: Exception) -> str:
    if tarfile.is_tarfile(path):
        return f"{path} is in torch's tar format of before 2018, which cannot be read safely. {SAVE_AGAIN}"
    if zipfile.is_zipfile(path) and "TorchScript" in str(error):
        return (
            f"{path} is a TorchScript program, not weights. Use it with uap.victims.Exported, or {_lower(SAVE_AGAIN)}"
        )
    reason = f" ({error})" if " " in str(error) else ""  # else it is a byte of the file
    return f"{path} cannot be read{reason}. It is damaged: download or save it again."


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
