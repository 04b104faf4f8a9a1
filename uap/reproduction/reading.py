"""Reads reproductions, and what they are run on, from YAML files."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from uap.reproduction.reproduction import DOORS, Axis, Family, Layer, Paper, Reproduction, name_of
from uap.reproduction.section import Section, read_section
from uap.utils.errors import InputError


def read_reproduction(path: Path, name: str) -> Reproduction:
    """Read a file.

    Raises:
        InputError: it cannot be read, or lacks or holds what it should not; the message names the key.
    """
    section = read_section(path)
    axes = _axes(section)
    experiments = {key: [layer] for key, layer in _layers(section.take_section("experiments")).items()}
    runs: list[Any] = section.take("runs", list, [{}])
    found = Reproduction(
        name=name,
        title=section.need("title", str),
        shows=" ".join(section.need("shows", str).split()),
        experiments=experiments,
        axes=axes,
        families=[_family(Section(run, f"`runs` of {path}"), list(axes)) for run in runs],
        figures={str(key): str(title) for key, title in section.need("figures", dict).items()},
        reduce=section.take("reduce", str, None),
        curves=section.take("curves", str, None),
        examples=section.take("examples", int, 0),
        perturbations=section.take("perturbations", bool, False),
        paper=_paper(section),
        places=_texts(section.take_section("places")),
    )
    section.end()
    _check(found, str(path))
    return found


def placed_on(found: Reproduction, path: Path) -> Reproduction:
    """Return a reproduction on other data and another network.

    Args:
        found: as its file says.
        path: a YAML file with `experiments`, a layer that goes over each experiment; `axes`, which take the place of
            those of the same name; `arguments` of commands; and `places`.

    Raises:
        InputError: the file cannot be read, or says nothing about an experiment.
    """
    section = read_section(path)
    title, axes, layers = section.need("title", str), _axes(section), _layers(section.take_section("experiments"))
    arguments, places = section.take_section("arguments"), _texts(section.take_section("places"))
    given = {command: arguments.take(command, dict, {}) for command in DOORS}
    arguments.end()
    section.end()
    missing = [name for name in found.experiments if name not in layers]
    if missing:
        raise InputError(
            f"{path} says nothing about the experiment {missing[0]} of {found.name}, only about "
            f"{', '.join(layers) or 'none'}. Add it under `experiments`."
        )
    changed = replace(
        found,
        experiments={name: [*base, layers[name]] for name, base in found.experiments.items()},
        axes=found.axes | {name: axis for name, axis in axes.items() if name in found.axes},
        families=[replace(f, arguments=f.arguments | given.get(f.command, {})) for f in found.families],
        places=found.places | places,
        on=title,
    )
    _check(changed, str(path))
    return changed


def _axes(section: Section) -> dict[str, Axis]:
    axes = section.take_section("axes")
    return {name: _axis(Section(axis, f"`{name}` of {axes.place}")) for name, axis in axes.rest().items()}


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
        raise InputError(f"{section.place} has no `values`, expected a list, or names with values. Add them.")
    return {str(name): Layer(settings={setting: value}) for name, value in values.items()}


def _layers(section: Section) -> dict[str, Layer]:
    return {name: _layer(Section(layer, f"`{name}` of {section.place}")) for name, layer in section.rest().items()}


def _layer(section: Section) -> Layer:
    layer = _take_layer(section)
    section.end()
    return layer


def _take_layer(section: Section) -> Layer:
    configs, settings = section.take("configs", list, []), section.take("settings", dict, {})
    return Layer([str(config) for config in configs], settings, section.take("experiment", str, None))


def _family(section: Section, axes: list[str]) -> Family:
    family = Family(
        command=section.take("command", str, "fit"),
        axes=[str(axis) for axis in section.take("axes", list, axes)],
        layer=_take_layer(section),
        arguments=section.take("arguments", dict, {}),
        onto=section.take("onto", str, None),
        names=_texts(section.take_section("names")),
    )
    section.end()
    return family


def _paper(section: Section) -> Paper | None:
    content = section.take("paper", dict, None)
    if content is None:
        return None
    own = Section(content, f"`paper` of {section.place}")
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


def _check(found: Reproduction, place: str) -> None:
    """Check that everything that is named is there."""
    if not found.experiments:
        raise InputError(f"{place} has no `experiments`, expected a name with `configs`. Add one.")
    reported = [str(key) for row in (found.paper.rows if found.paper else []) for key in row]
    _check_names([name for name in (found.reduce, found.curves) if name], found.axes, "axes", place)
    _check_names(reported, [*found.axes, *found.figures], "axes and figures", place)
    for family in found.families:
        _check_names([*family.axes, *family.names], found.axes, "axes", place)
        _check_names([family.command], DOORS, "commands", place)
        layers = [family.layer, *(layer for axis in family.axes for layer in found.axes[axis].values())]
        named = [layer.experiment for layer in layers if layer.experiment]
        _check_names(named, found.experiments, "experiments", place)
        if (family.command == "transfer") != (family.onto is not None and family.onto in family.axes):
            raise InputError(
                f"A run of {place} has the command {family.command}, the axes {', '.join(family.axes) or 'none'} and "
                f"`onto` {family.onto}; expected one of the axes as `onto` of a transfer, and none of the others."
            )


def _check_names(names: Iterable[str], known: Collection[str], what: str, place: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"{place} names {name!r}, but its {what} are {', '.join(known) or 'none'}. Choose there.")
