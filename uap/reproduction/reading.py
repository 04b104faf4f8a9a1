"""Readers of the YAML files of reproductions, and of the data and networks that they run on."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from uap.reproduction.reproduction import COMMANDS, Axis, Grid, Layer, Paper, Reproduction, name_of
from uap.reproduction.section import Section, read_section
from uap.utils.errors import InputError


def read_reproduction(path: Path, name: str) -> Reproduction:
    """Read the YAML file of a reproduction.

    Args:
        path: the file.
        name: the name of the reproduction in tables and folders.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or invalid; the message names the key.
    """
    section = read_section(path)
    axes = _axes(section)
    experiments = {key: [layer] for key, layer in _layers(section.take_section("experiments")).items()}
    runs: list[Any] = section.take("runs", list, [{}])
    reproduction = Reproduction(
        name=name,
        title=section.need("title", str),
        shows=" ".join(section.need("shows", str).split()),
        experiments=experiments,
        axes=axes,
        grids=[_grid(Section(run, f"`runs` of {path}"), list(axes)) for run in runs],
        metrics={str(key): str(title) for key, title in section.need("metrics", dict).items()},
        reduce=section.take("reduce", str, None),
        curves=section.take("curves", str, None),
        examples=section.take("examples", int, 0),
        perturbations=section.take("perturbations", bool, False),
        paper=_paper(section),
        folders=_texts(section.take_section("folders")),
    )
    section.end()
    _check(reproduction, str(path))
    return reproduction


def run_on(reproduction: Reproduction, path: Path) -> Reproduction:
    """Return a reproduction with other data and another network.

    Args:
        reproduction: the reproduction as its file defines it.
        path: a YAML file with `experiments`, a layer for each experiment; `axes`, which replace the axes of the same
            name; `arguments` of commands; and `folders`, paths by name.

    Raises:
        InputError: the file cannot be read, or has no layer for an experiment.
    """
    section = read_section(path)
    title, axes, layers = section.need("title", str), _axes(section), _layers(section.take_section("experiments"))
    arguments, folders = section.take_section("arguments"), _texts(section.take_section("folders"))
    given = {command: arguments.take(command, dict, {}) for command in COMMANDS}
    arguments.end()
    section.end()
    missing = [name for name in reproduction.experiments if name not in layers]
    if missing:
        raise InputError(
            f"{path} lacks the experiment {missing[0]} of {reproduction.name}. It has "
            f"{', '.join(layers) or 'none'}. Add {missing[0]} under `experiments`."
        )
    changed = replace(
        reproduction,
        experiments={name: [*base, layers[name]] for name, base in reproduction.experiments.items()},
        axes=reproduction.axes | {name: axis for name, axis in axes.items() if name in reproduction.axes},
        grids=[replace(g, arguments=g.arguments | given.get(g.command, {})) for g in reproduction.grids],
        folders=reproduction.folders | folders,
        on=title,
    )
    _check(changed, str(path))
    return changed


def _axes(section: Section) -> dict[str, Axis]:
    axes = section.take_section("axes")
    return {name: _axis(Section(axis, f"`{name}` of {axes.location}")) for name, axis in axes.rest().items()}


def _axis(section: Section) -> Axis:
    """Read an axis: one `setting` with its `values`, listed or by name; or named layers."""
    setting = section.take("setting", str, None)
    if setting is None:
        return _layers(section)
    values = section.take("values", object, None)
    if isinstance(values, list):
        values = {name_of(value): value for value in values}
    section.end()
    if not isinstance(values, dict) or not values:
        raise InputError(f"{section.location} has no `values`, expected a list, or names with values. Add them.")
    return {str(name): Layer(settings={setting: value}) for name, value in values.items()}


def _layers(section: Section) -> dict[str, Layer]:
    return {name: _layer(Section(layer, f"`{name}` of {section.location}")) for name, layer in section.rest().items()}


def _layer(section: Section) -> Layer:
    layer = _take_layer(section)
    section.end()
    return layer


def _take_layer(section: Section) -> Layer:
    configs, settings = section.take("configs", list, []), section.take("settings", dict, {})
    return Layer([str(config) for config in configs], settings, section.take("experiment", str, None))


def _grid(section: Section, axes: list[str]) -> Grid:
    grid = Grid(
        command=section.take("command", str, "fit"),
        axes=[str(axis) for axis in section.take("axes", list, axes)],
        layer=_take_layer(section),
        arguments=section.take("arguments", dict, {}),
        evaluate_on=section.take("evaluate_on", str, None),
        names=_texts(section.take_section("names")),
    )
    section.end()
    return grid


def _paper(section: Section) -> Paper | None:
    content = section.take("paper", dict, None)
    if content is None:
        return None
    own = Section(content, f"`paper` of {section.location}")
    rows = own.take("rows", list, [])
    paper = Paper(
        source=own.need("source", str),
        network=own.need("network", str),
        data=own.need("data", str),
        size=own.need("size", list),
        images=own.need("images", int),
        steps=own.need("steps", int),
        rows=rows,
    )
    own.end()
    return paper


def _texts(section: Section) -> dict[str, str]:
    return {name: str(value) for name, value in section.rest().items()}


def _check(reproduction: Reproduction, location: str) -> None:
    """Check that all names in the file refer to something in it."""
    if not reproduction.experiments:
        raise InputError(f"{location} has no `experiments`, expected a name with `configs`. Add one.")
    reported = [str(key) for row in (reproduction.paper.rows if reproduction.paper else []) for key in row]
    _check_names(
        [name for name in (reproduction.reduce, reproduction.curves) if name], reproduction.axes, "axes", location
    )
    _check_names(reported, [*reproduction.axes, *reproduction.metrics], "axes and metrics", location)
    for grid in reproduction.grids:
        _check_names([*grid.axes, *grid.names], reproduction.axes, "axes", location)
        _check_names([grid.command], COMMANDS, "commands", location)
        layers = [grid.layer, *(layer for axis in grid.axes for layer in reproduction.axes[axis].values())]
        named = [layer.experiment for layer in layers if layer.experiment]
        _check_names(named, reproduction.experiments, "experiments", location)
        if (grid.command == "transfer") != (grid.evaluate_on is not None and grid.evaluate_on in grid.axes):
            raise InputError(
                f"A run of {location} has the command {grid.command}, the axes {', '.join(grid.axes) or 'none'} and "
                f"`evaluate_on` {grid.evaluate_on}; expected one of the axes as `evaluate_on` of a transfer, and none "
                "for the other commands."
            )


def _check_names(names: Iterable[str], known: Collection[str], what: str, location: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(
                f"{location} names {name!r}, but its {what} are {', '.join(known) or 'none'}. Choose one of them."
            )
