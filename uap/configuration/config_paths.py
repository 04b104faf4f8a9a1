"""Paths in a configuration file: weights, images and modules beside the file are found from any folder."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uap.configuration.plain_yaml import plain_yaml
from uap.utils import paths
from uap.utils.errors import InputError

MODULES = "modules"
"""The key of a configuration for folders of importable modules; a run writes it into its `config.yaml`."""

PATHS = ("root", "weights", "file", "files", "image", "labels", "sbd", "name")
"""Settings whose value is always checked as a path. Values of others are paths if they have a slash or a suffix."""

VARIABLE = re.compile(r"\$\{(\w+)\}")


def read_file(file: Path) -> Any:
    """Return the content of one configuration file with resolved paths, and make its modules importable.

    `${VAR}` and a leading `~` are expanded. A relative path becomes absolute if it does not exist in the current folder
    but beside the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not valid YAML.
        InputError: the file uses an environment variable that is not set.
    """
    folder = file.absolute().parent
    content = _resolved(plain_yaml(file.read_text()), folder, "", file)
    paths.remember(folder)
    if isinstance(content, dict):
        given = content.pop(MODULES, None) or []
        for name in given if isinstance(given, list) else [given]:
            _add_modules(folder / str(name))
        if any(_is_beside(name, folder) for name in _class_paths(content)):
            _add_modules(folder)
    return content


def expanded(value: str, source: str) -> str:
    """Return a text with `${VAR}` and a leading `~` expanded.

    Args:
        value: the text.
        source: origin of the text, for the message.

    Raises:
        InputError: a variable is not set.
    """

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise InputError(
                f"{source} names ${{{match[1]}}}, but this environment variable is not set. Set and export it.",
                kind="unknown_name",
            )
        return os.environ[match[1]]

    value = VARIABLE.sub(variable, value)
    return os.path.expanduser(value) if value == "~" or value.startswith("~/") else value


def module_folders() -> list[str]:
    """Return the module folders of all configuration files that this process has read."""
    return [str(folder) for folder in _added]


_added: list[Path] = []


def _add_modules(folder: Path) -> None:
    folder = folder.resolve()
    if folder not in _added:
        _added.append(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end, so that installed modules take precedence


def _class_paths(content: Any) -> Iterator[str]:
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else []
    if isinstance(content, dict) and isinstance(content.get("class_path"), str):
        yield content["class_path"]
    for value in values:
        yield from _class_paths(value)


def _is_beside(class_path: str, folder: Path) -> bool:
    """Return whether a folder contains the module of a class, and no installed module has that name."""
    module = class_path.split(".")[0]
    if not module.isidentifier() or not ((folder / module).is_dir() or (folder / f"{module}.py").is_file()):
        return False
    if module in sys.modules:
        return str(folder.resolve()) in sys.path
    found = importlib.util.find_spec(module)
    return found is None or str(folder.resolve()) in sys.path


def _resolved(value: Any, folder: Path, key: str, file: Path) -> Any:
    if isinstance(value, dict):
        return {name: _resolved(inner, folder, str(name), file) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, folder, key, file) for inner in value]
    if not isinstance(value, str) or key == "class_path":
        return value
    value = expanded(value, f"The configuration {file}")
    beside = folder / value
    if not value or len(value) > paths.LONGEST or "\0" in value or paths.find(value).exists() or not beside.exists():
        return value
    return str(beside) if _may_be_path(value, key, beside) else value


def _may_be_path(value: str, key: str, found: Path) -> bool:
    if key == "name":  # the folder of a network; the name of a logger is not a path
        return "/" in value and found.is_dir()
    return key in PATHS or (found.is_file() and ("/" in value or bool(found.suffix)))
