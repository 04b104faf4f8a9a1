"""What a class that a configuration names raises while it is built, in a sentence."""

import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from jsonargparse import add_instantiator

from uap.configuration.parser_messages import wrapper, wrapper_for
from uap.utils.errors import InputError, input_error_in

T = TypeVar("T")

OWN = "uap."
"""How the modules begin whose errors are faults of the program, but for input errors."""

REQUIREMENT = re.compile(r"pip install (?:-U )?'?([\w.\-]+(?:\[[\w,]+\])?)")


WITHOUT_SETTINGS = re.compile(r"'(NoneType|dict|Namespace|NestedArg)' object has no attribute '\w+'")
"""What a class raises that wants its settings as attributes of one object, and got none or a dictionary."""


class UnbuiltClass(InputError):
    """A class that could not be built; `name` is its own, without its module."""

    def __init__(self, name: str, message: str) -> None:
        """Keep the name, by which the setting is found."""
        super().__init__(message)
        self.name = name


@contextlib.contextmanager
def as_input_error(what: str, name: str = "") -> Iterator[None]:
    """Turn what the construction of something raises into an input error.

    Args:
        what: is built, as the sentence is to call it.
        name: its class's own name.

    Raises:
        InputError: the construction raised something else than that or a lack of memory.
    """
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # classes of others raise anything
        if isinstance(error, AttributeError) and WITHOUT_SETTINGS.match(str(error)):
            raise InputError(wrapper(what)) from error
        raise UnbuiltClass(name, f"{what} cannot be built: {_reason(error)}.{_advice(error)}") from error


@contextlib.contextmanager
def at_setting(key: str) -> Iterator[None]:
    """Turn what the construction of a setting's class raises into an input error that begins with its key."""
    try:
        with as_input_error(key):
            yield
    except UnbuiltClass as error:
        raise InputError(f"{key}: {error}" if error.name else str(error)) from error


def _reason(error: Exception) -> str:
    """Return what was raised on one line, and where, if that is in a file of the user's."""
    said = " ".join(str(error).split("\n\n")[0].split()).rstrip(".")
    kind = "" if " " in said else f"{type(error).__name__}{': ' if said else ''}"  # a KeyError says only the key
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if "site-packages" in last.filename else f" ({Path(last.filename).name}, line {last.lineno})"
    return f"{kind}{said}{where}"


def _advice(error: Exception) -> str:
    names = list(dict.fromkeys(REQUIREMENT.findall(str(error))))
    if not names and isinstance(error, ImportError) and error.name:
        names = [error.name.split(".")[0]]
    if names:
        return f" Install what is missing with {' or '.join(f'`pip install {name}`' for name in names)}."
    return "" if "HINT" in str(error) else " Change its settings, or leave it out."  # Lightning has advice of its own


def settings_with(config: Any, name: str, key: str = "") -> Iterator[str]:
    """Yield the keys of a configuration whose class has a name."""
    if isinstance(config, list):
        for value in config:
            yield from settings_with(value, name, key)
    elif isinstance(config, dict):
        if str(config.get("class_path")).rpartition(".")[2] == name:
            yield key
        for inner, value in config.items():
            yield from settings_with(value, name, key if inner == "init_args" else f"{key}.{inner}".lstrip("."))


_raised: list[InputError] = []
"""What the last construction that failed raised; jsonargparse keeps but the text of some of it."""


@contextlib.contextmanager
def construction(config: dict[str, Any], key: str = "") -> Iterator[None]:
    """Let an input error come out of jsonargparse's own as it was raised, with the setting of its class.

    Args:
        config: what is built, plain values.
        key: where it stands in the whole configuration.
    """
    _raised.clear()
    try:
        yield
    except Exception as error:
        found = input_error_in(error) or (_raised[0] if _raised else None)
        if isinstance(found, UnbuiltClass) and found.name:
            places = dict.fromkeys(settings_with(config, found.name, key))
            raise InputError(f"{' or '.join(places)}: {found}") from found
        cure = None if found else wrapper_for(str(error))
        raise (found or (InputError(cure) if cure else error)) from None


def _build(class_type: type[T], *args: Any, **kwargs: Any) -> T:
    is_own, name = class_type.__module__.startswith(OWN), class_type.__qualname__
    try:
        with contextlib.nullcontext() if is_own else as_input_error(f"{class_type.__module__}.{name}", name):
            return class_type(*args, **kwargs)
    except InputError as error:
        _raised.append(error)
        raise


add_instantiator(_build, object)
