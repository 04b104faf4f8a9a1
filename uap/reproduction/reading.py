"""Readers of the YAML files of reproductions, and of the data and networks that they run on."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError

from uap.configuration.config_files import Parser
from uap.configuration.parser_messages import fault
from uap.configuration.plain_yaml import plain_yaml
from uap.reproduction.reproduction import Reproduction, Setup, name_of
from uap.utils.errors import InputError

T = TypeVar("T")

NOT_IN_FILE = {"name", "on"}
"""The attributes of a reproduction that its file does not have."""


def read_reproduction(path: Path, name: str) -> Reproduction:
    """Read the YAML file of a reproduction.

    Args:
        path: the file.
        name: the name of the reproduction in tables and folders.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or invalid; the message names the key.
    """
    reproduction = replace(_read(path, Reproduction), name=name)
    _check(reproduction, path)
    return reproduction


def run_on(reproduction: Reproduction, path: Path) -> Reproduction:
    """Return a reproduction with other data and networks.

    Args:
        reproduction: the reproduction as its file defines it.
        path: the YAML file of the data and networks.

    Raises:
        InputError: the file cannot be read, or has no layer for an experiment, or nothing for the reproduction.
    """
    on = _read(path, Setup)
    missing = [name for name in reproduction.experiments if name not in on.experiments]
    if missing:
        raise InputError(
            f"{path} lacks the experiment {missing[0]} of {reproduction.name}. It has "
            f"{', '.join(on.experiments) or 'none'}. Add {missing[0]} under `experiments`.",
            kind="missing_setting",
        )
    if not reproduction.experiments and not reproduction.axes.keys() & on.axes.keys():
        raise InputError(
            f"{path} has no other networks for {reproduction.name}: expected an axis of "
            f"{', '.join(reproduction.axes)} under `axes`. Add one, or choose another --on.",
            kind="missing_setting",
        )
    for command in on.arguments:
        main_of(command, str(path))
    changed = replace(
        reproduction,
        axes=reproduction.axes | {name: axis for name, axis in on.axes.items() if name in reproduction.axes},
        runs=[replace(run, arguments=run.arguments | on.arguments.get(run.command, {})) for run in reproduction.runs],
        folders=reproduction.folders | on.folders,
        on=on,
    )
    _check(changed, path)
    return changed


def main_of(command: str, location: str) -> Callable[[list[str]], object]:
    """Return the function that runs a command: `main` of the module `uap.COMMAND`.

    Raises:
        InputError: there is no such command; the message begins with `location`.
    """
    module = f"uap.{command}"
    main = getattr(import_module(module), "main", None) if command.isidentifier() and find_spec(module) else None
    if main is None:
        raise InputError(
            f"{location} names the command {command!r}, but uap has none of that name. `uap` lists them.",
            kind="unknown_name",
        )
    found: Callable[[list[str]], object] = main
    return found


def _read(path: Path, kind: type[T]) -> T:
    """Return the contents of a YAML file as the dataclass that describes it."""
    try:
        content = plain_yaml(path.read_text(encoding="utf-8"), aliases=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as YAML ({' '.join(str(error).split())}). Check the file.", kind="unusable_file"
        ) from error
    known = [one.name for one in fields(kind) if one.name not in NOT_IN_FILE]  # type: ignore[arg-type]
    unknown = [str(key) for key in content if key not in known] if isinstance(content, dict) else ["content"]
    if unknown:  # the parser does not report a key whose value is empty
        raise InputError(f"{path} has an unknown {unknown[0]!r}, expected {', '.join(known)}.", kind="unknown_name")
    given = {key: value for key, value in content.items() if value is not None}
    if isinstance(given.get("axes"), dict):
        given["axes"] = {str(name): _named_values(axis, f"{path}, axes.{name}") for name, axis in given["axes"].items()}
    parser = Parser(exit_on_error=False)
    parser.add_class_arguments(kind, skip=NOT_IN_FILE)
    try:
        read = kind(**vars(parser.instantiate(parser.parse_object(given))))
    except ArgumentError as error:
        raise InputError(
            f"{path}: {fault(str(error))}. docs/commands.md describes the file.", kind="unusable_file"
        ) from error
    _check_empty(read, str(path))
    return read


def _check_empty(value: Any, location: str) -> None:
    """Check that no key without a value stands for a default that is not None; the parser accepts such keys.

    Raises:
        InputError: a key has no value.
    """
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_empty(inner, location)
    for one in fields(value) if is_dataclass(value) else []:
        if getattr(value, one.name) is None and one.default is not None:
            raise InputError(
                f"{location} has `{one.name}` without a value. Write one, or remove the key.", kind="missing_setting"
            )
        _check_empty(getattr(value, one.name), f"{location}, {one.name}")


def _named_values(axis: Any, location: str) -> Any:
    """Return the values of an axis with a layer for each: an axis can be one `setting` with its `values`.

    Raises:
        InputError: the `values` are neither a list nor named.
    """
    if not isinstance(axis, dict):
        return axis
    if "setting" not in axis:
        return {str(name): layer for name, layer in axis.items()}
    values = axis.get("values")
    if isinstance(values, list):
        values = {name_of(value): value for value in values}
    if not values or not isinstance(values, dict) or len(axis) > 2:
        raise InputError(
            f"{location} has a `setting`, expected it with `values` alone, a list or names with values.",
            kind="conflict",
        )
    return {str(name): {"settings": {axis["setting"]: value}} for name, value in values.items()}


def _check(reproduction: Reproduction, path: Path) -> None:
    """Check that all names in the file refer to something in it."""
    reported = [str(key) for row in (reproduction.paper.rows if reproduction.paper else []) for key in row]
    titles = [title for run in reproduction.runs for title in run.cells]
    columns = [*reproduction.axes, *titles]
    shown = [reproduction.reduce, reproduction.curves, reproduction.panels, reproduction.columns]
    _check_names([name for name in shown if name], columns, "axes", path)
    _check_names(reported, [*columns, *reproduction.metrics], "axes and metrics", path)
    _check_names([str(title) for one in reproduction.omit for title in one], titles, "cells", path)
    for run in reproduction.runs:
        axes = reproduction.axes_of(run)
        _check_names([*axes, *run.names], reproduction.axes, "axes", path)
        main_of(run.command, str(path))
        named = [layer.experiment for layer in reproduction.layers_of(run) if layer.experiment]
        _check_names(named, reproduction.experiments, "experiments", path)
        is_configured = reproduction.is_configured(run)
        if is_configured and not reproduction.experiments:
            raise InputError(
                f"{path} has no `experiments`, expected a name with `configs`. Add one.", kind="missing_setting"
            )
        if (run.command == "transfer" and is_configured) != (run.evaluate_on in axes):
            raise InputError(
                f"A run of {path} has the command {run.command}, the axes {', '.join(axes) or 'none'} and "
                f"`evaluate_on` {run.evaluate_on}; expected one of the axes as `evaluate_on` of a transfer without "
                "`words`, and none for the other commands.",
                kind="conflict",
            )


def _check_names(names: Iterable[str], known: Collection[str], what: str, path: Path) -> None:
    for name in names:
        if name not in known:
            raise InputError(
                f"{path} names {name!r}, but its {what} are {', '.join(known) or 'none'}. Choose one of them.",
                kind="unknown_name",
            )
