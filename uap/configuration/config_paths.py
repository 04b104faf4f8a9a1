"""What a configuration file names that lies beside it: weights, images, modules."""

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
"""The key of a configuration for folders whose modules it needs; a run writes it into its `config.yaml`."""

PATHS = ("root", "weights", "file", "files", "image", "labels", "sbd", "name")
"""Settings whose value may be a path without any sign of one; others need a slash or an ending to be taken for one."""

VARIABLE = re.compile(r"\$\{(\w+)\}")


def read_settings(file: Path) -> Any:
    """Return what a configuration file holds, with its paths resolved, and let its modules be imported.

    `${VAR}` and a leading `~` are expanded. A relative path that does not exist in the current folder, but beside the
    file, becomes an absolute one.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no YAML.
        InputError: it names a variable that is not set.
    """
    folder = file.absolute().parent
    content = _resolved(plain_yaml(file.read_text()), folder, "", file)
    paths.remember(folder)
    if isinstance(content, dict):
        given = content.pop(MODULES, None) or []
        for place in given if isinstance(given, list) else [given]:
            _add_modules(folder / str(place))
        if any(_is_beside(name, folder) for name in _class_paths(content)):
            _add_modules(folder)
    return content


def expanded(value: str, where: str) -> str:
    """Return a text with `${VAR}` and a leading `~` filled in.

    Raises:
        InputError: a variable is not set; `where` names what holds the text.
    """

    def filled(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise InputError(f"{where} names ${{{match[1]}}}, but there is no variable {match[1]}. Set and export it.")
        return os.environ[match[1]]

    value = VARIABLE.sub(filled, value)
    return os.path.expanduser(value) if value == "~" or value.startswith("~/") else value


def module_folders() -> list[str]:
    """Return the folders of modules that configurations of this process brought."""
    return [str(folder) for folder in _added]


_added: list[Path] = []


def _add_modules(folder: Path) -> None:
    folder = folder.resolve()
    if folder not in _added:
        _added.append(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: nothing that is installed is replaced


def _class_paths(content: Any) -> Iterator[str]:
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else []
    if isinstance(content, dict) and isinstance(content.get("class_path"), str):
        yield content["class_path"]
    for value in values:
        yield from _class_paths(value)


def _is_beside(class_path: str, folder: Path) -> bool:
    """Return whether the module of a class lies in a folder, and none of its name is installed."""
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
    if key == "name":  # of a network's folder; a logger has a name too
        return "/" in value and found.is_dir()
    return key in PATHS or (found.is_file() and ("/" in value or bool(found.suffix)))
