"""Errors that a class of a configuration raises during construction, as messages for the user."""

import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from jsonargparse import add_instantiator

from uap.configuration.parser_messages import wrapper, wrapper_advice
from uap.utils.errors import InputError, input_error_in

T = TypeVar("T")

OWN = "uap."
"""Prefix of this program's modules. Except for input errors, their errors are bugs and keep the traceback."""

REQUIREMENT = re.compile(r"pip install (?:-U )?'?([\w.\-]+(?:\[[\w,]+\])?)")


WITHOUT_SETTINGS = re.compile(r"'(NoneType|dict|Namespace|NestedArg)' object has no attribute '\w+'")
"""What a class raises that wants its settings as attributes of one object, and got none or a dictionary."""


class UnbuiltClass(InputError):
    """A class could not be built; `name` is the name of the class without its module."""

    def __init__(self, name: str, message: str) -> None:
        """Store the name. It identifies the setting of the class."""
        super().__init__(message, kind="not_supported")
        self.name = name


@contextlib.contextmanager
def as_input_error(subject: str, name: str = "") -> Iterator[None]:
    """Convert an error that the construction of an object raises into an input error.

    Args:
        subject: the object, as the message names it.
        name: name of its class, without the module.

    Raises:
        InputError: the construction raised an error. Errors of memory are not converted.
    """
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # classes of other libraries raise any error
        if isinstance(error, AttributeError) and WITHOUT_SETTINGS.match(str(error)):
            raise InputError(wrapper(subject), kind="not_supported") from error
        raise UnbuiltClass(name, f"{subject} cannot be built: {_reason(error)}.{_advice(error)}") from error


@contextlib.contextmanager
def at_setting(key: str) -> Iterator[None]:
    """Convert an error in the construction of a setting into an input error that begins with the key of the setting."""
    try:
        with as_input_error(key):
            yield
    except UnbuiltClass as error:
        raise InputError(f"{key}: {error}" if error.name else str(error), setting=key, kind="not_supported") from error


def _reason(error: Exception) -> str:
    """Return the error in one line, with file and line number if it was raised in a file of the user."""
    text = " ".join(str(error).split("\n\n")[0].split()).rstrip(".")
    kind = "" if " " in text else f"{type(error).__name__}{': ' if text else ''}"  # a KeyError has only its key
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if "site-packages" in last.filename else f" ({Path(last.filename).name}, line {last.lineno})"
    return f"{kind}{text}{where}"


def _advice(error: Exception) -> str:
    names = list(dict.fromkeys(REQUIREMENT.findall(str(error))))
    if not names and isinstance(error, ImportError) and error.name:
        names = [error.name.split(".")[0]]
    if names:
        return f" Install it with {' or '.join(f'`pip install {name}`' for name in names)}."
    return "" if "HINT" in str(error) else " Change its settings, or leave it out."  # Lightning gives advice


def settings_with(config: Any, name: str, key: str = "") -> Iterator[str]:
    """Yield the keys of a configuration whose class has the given name."""
    if isinstance(config, list):
        for value in config:
            yield from settings_with(value, name, key)
    elif isinstance(config, dict):
        if str(config.get("class_path")).rpartition(".")[2] == name:
            yield key
        for inner, value in config.items():
            yield from settings_with(value, name, key if inner == "init_args" else f"{key}.{inner}".lstrip("."))


_raised: list[InputError] = []
"""The input errors of the current construction. jsonargparse keeps only the text of some errors."""


@contextlib.contextmanager
def construction(config: dict[str, Any], key: str = "") -> Iterator[None]:
    """Raise an input error unchanged instead of the error in which jsonargparse wraps it, and name its setting.

    Args:
        config: the settings of the objects that are built, as plain values.
        key: key of `config` in the whole configuration.
    """
    _raised.clear()
    try:
        yield
    except Exception as error:
        found = input_error_in(error) or (_raised[0] if _raised else None)
        if isinstance(found, UnbuiltClass) and found.name:
            keys = dict.fromkeys(settings_with(config, found.name, key))
            named = next(iter(keys)) if len(keys) == 1 else None
            raise InputError(f"{' or '.join(keys)}: {found}", setting=named, kind="not_supported") from found
        advice = None if found else wrapper_advice(str(error))
        raise (found or (InputError(advice, kind="not_supported") if advice else error)) from None


def _build(class_type: type[T], *args: Any, **kwargs: Any) -> T:
    is_own, name = class_type.__module__.startswith(OWN), class_type.__qualname__
    try:
        with contextlib.nullcontext() if is_own else as_input_error(f"{class_type.__module__}.{name}", name):
            return class_type(*args, **kwargs)
    except InputError as error:
        _raised.append(error)
        raise


add_instantiator(_build, object)
