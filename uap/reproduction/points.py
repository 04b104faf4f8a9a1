"""The points of a reproduction: every combination of its axes, each with its whole configuration and its own folder."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from uap.reproduction.configuring import determining, resolved
from uap.reproduction.reproduction import Family, Layer, Reproduction
from uap.utils.errors import InputError
from uap.utils.progress import progress

LIMIT = "data.init_args.limit"
"""The setting of how many images are learned from."""

MANY = 1000
"""So many images are assumed of data that are taken whole, to share out the work before anything is read."""


@dataclass(frozen=True)
class Point:
    """One run.

    Attributes:
        title: what it is called in this reproduction.
        command: what runs it.
        config: the whole configuration of `uap.fit`; of a transfer that of what is scored.
        arguments: the command's own.
        learned: of a transfer, the point whose perturbation is scored.
    """

    title: str
    command: str
    config: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    learned: "Point | None" = None

    @cached_property
    def folder(self) -> str:
        """The name of its folder: what it is in a few words, and a hash of everything that determines it."""
        return f"{self._slug()}-{self._hash()}"

    def setting(self, name: str) -> Any:
        """Return a value of the configuration by its dotted name, None where there is none."""
        value: Any = self.config
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def network(self) -> str:
        """The class of the network."""
        adapter = self.setting("model.victim")
        return _last(self.setting("model.victim.init_args.network.class_path") or adapter["class_path"])

    @property
    def data(self) -> str:
        """The class of the data."""
        return _last(self.setting("data.class_path"))

    @property
    def images(self) -> int | None:
        """How many images are attacked or learned from; None where they are all of the data."""
        found: int | None = self.arguments.get("images") if self.command == "attack" else self.setting(LIMIT)
        return found

    def evaluations(self, whole: int) -> int:
        """Return how many gradient evaluations it takes where the data have `whole` images; none of a transfer."""
        passes = {"fit": self.setting("trainer.max_epochs"), "attack": self.arguments.get("steps")}.get(self.command)
        return int(passes or 0) * (self.images or whole)

    def _slug(self) -> str:
        model = self.learned or self
        tile = model.setting("model.tile")
        images = self.images if self.command == "attack" else model.setting(LIMIT)
        words = [
            self.command if self.command != "fit" else "",
            _last(model.setting("model.objective.class_path")).removesuffix("Target"),
            self.network,
            self.data,
            f"epsilon{model.setting('model.epsilon'):g}",
            f"tile{'x'.join(map(str, tile))}" if tile else "",
            f"images{images}" if images else "",
        ]
        return "-".join(word for word in words if word).lower()

    def _hash(self) -> str:
        learned = self.learned.folder if self.learned else None
        whole = [self.command, determining(self.config), self.arguments, learned]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Row:
    """A point under the names that it has in one reproduction, by axis."""

    names: dict[str, str]
    point: Point


def rows_of(found: Reproduction, further: list[str]) -> list[Row]:
    """Return every combination of every family, in order.

    Args:
        found: the reproduction.
        further: arguments of `uap.fit` that go over its experiments, and under what it varies.

    Raises:
        InputError: a configuration file is not there, or a setting cannot be used.
    """
    combinations = [
        (family, dict(zip(family.axes, names, strict=True)))
        for family in found.families
        for names in product(*(found.axes[axis] for axis in family.axes))
    ]
    bar = progress(combinations, "Reading configurations", "point", len(combinations))
    return [Row(family.names | names, _point(found, family, names, further)) for family, names in bar]


def unique(points: Iterable[Point]) -> list[Point]:
    """Return the points that differ, in order; what a transfer scores goes before it."""
    whole = [one for point in points for one in ([point.learned] if point.learned else []) + [point]]
    return list({point.folder: point for point in whole}.values())


def shard(points: list[Point], number: int, of: int) -> list[Point]:
    """Return one of `of` parts (1 is the first) of about the same work; a transfer goes with its perturbation."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault((point.learned or point).folder, []).append(point)
    work = {folder: sum(point.evaluations(MANY) for point in group) for folder, group in groups.items()}
    loads, part = [0] * of, {}
    for folder in sorted(groups, key=lambda folder: -work[folder]):
        part[folder] = loads.index(min(loads)) + 1
        loads[part[folder] - 1] += work[folder]
    return [point for point in points if part[(point.learned or point).folder] == number]


def describe(names: dict[str, str]) -> str:
    """Return the names of a point in words: epsilon 5, tile 60 x 60."""
    return ", ".join(f"{axis} {name}" for axis, name in names.items())


def _point(found: Reproduction, family: Family, names: dict[str, str], further: list[str]) -> Point:
    varied = {axis: name for axis, name in names.items() if axis != family.onto}
    learned = [family.layer, *(found.axes[axis][name] for axis, name in varied.items())]
    experiment = _experiment(found, learned)

    def config(layers: list[Layer]) -> dict[str, Any]:
        try:
            return resolved(found.experiments[experiment], further, layers, found.places)
        except InputError as error:
            raise InputError(f"{found.name}, {title}: {error}") from error

    title = describe(family.names | names) or experiment
    if family.onto is None:
        return Point(title, family.command, config(learned), family.arguments)
    whole = [*learned, found.axes[family.onto][names[family.onto]]]
    run = Point(describe(varied) or experiment, "fit", config(learned))
    return Point(title, family.command, config(whole), family.arguments, run)


def _experiment(found: Reproduction, layers: list[Layer]) -> str:
    """Return the experiment that layers start from: the last that one of them names, or the only one there is."""
    named = [layer.experiment for layer in layers if layer.experiment]
    if not named and len(found.experiments) > 1:
        raise InputError(
            f"{found.name} has the experiments {', '.join(found.experiments)}, and does not say which one a run or the "
            "value of an axis starts from. Add `experiment` there."
        )
    return named[-1] if named else next(iter(found.experiments))


def _last(path: Any) -> str:
    return str(path or "").rsplit(".", 1)[-1]
