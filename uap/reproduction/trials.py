"""The trials of a reproduction: all combinations of its axes, each with its own folder.

A trial has a complete configuration of `uap.fit`, or the words of the command line of another command.
"""

import hashlib
import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from uap.reproduction.configuring import contents_of, determining, filled, options, resolved
from uap.reproduction.reproduction import Layer, Reproduction, Run
from uap.utils.errors import InputError, in_message_of
from uap.utils.progress import progress

LIMIT = "data.init_args.limit"
"""The setting that limits the number of training images."""

MANY = 1000
"""Assumed number of images where a trial uses all images of its data.

The work is divided into shards before any data are read.
"""


RUN = "{run}"
"""Stands, in the words of a command line, for the run folder of the trial whose perturbation is evaluated."""


@dataclass(frozen=True)
class Trial:
    """One run of a command.

    Attributes:
        title: its name in this reproduction.
        command: the command that runs it.
        config: the complete configuration of `uap.fit`; for a transfer, that of the network and data it evaluates on.
            It is empty if the words and options of a command line are all that the command reads.
        arguments: the command's own arguments beside the configuration.
        source: the trial whose perturbation it scores, if any.
        words: without a configuration, the whole command line without the folder to write to.
        out: the option for that folder.
    """

    title: str
    command: str
    config: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    source: "Trial | None" = None
    words: list[str] = field(default_factory=list)
    out: str = "out"

    @cached_property
    def folder(self) -> str:
        """The name of its folder: a short description and a hash of everything that determines the result."""
        return f"{self._slug() if self.config else self.command}-{self._hash()}"

    @property
    def command_line(self) -> str:
        """The command line without the folder to write to."""
        return shlex.join(["uap", self.command, *self.words])

    @property
    def has_known_cost(self) -> bool:
        """Whether its number of gradient evaluations is known; its duration is proportional to it."""
        return self.command in ("fit", "attack") and bool(self.config)

    def setting(self, name: str) -> Any:
        """Return a value of the configuration by its dotted name; None if it is not set."""
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
        """The number of images that are attacked or used for training; None for all images of the data."""
        count: int | None = self.arguments.get("images") if self.command == "attack" else self.setting(LIMIT)
        return count

    def evaluations(self, whole: int) -> int:
        """Return the number of gradient evaluations if the data have `whole` images; 0 for the other commands."""
        if not self.has_known_cost:
            return 0
        passes = {"fit": self.setting("trainer.max_epochs"), "attack": self.arguments.get("steps")}.get(self.command)
        return int(passes or 0) * (self.images or whole)

    def _slug(self) -> str:
        model = self.source or self
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
        learned = self.source.folder if self.source else None
        own = determining(self.config) if self.config else contents_of(self.words)
        whole = [self.command, own, self.arguments, learned]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Row:
    """A trial and its position in the table.

    Attributes:
        names: the name of its value on each axis.
        trial: the trial.
        cells: columns of the table that come from its results: the key of a cell for each title.
    """

    names: dict[str, str]
    trial: Trial
    cells: dict[str, str] = field(default_factory=dict)


def rows_of(reproduction: Reproduction, overrides: list[str]) -> list[Row]:
    """Return the trials of all runs, in order.

    Args:
        reproduction: the reproduction.
        overrides: arguments of the commands; they override the experiments, and the values of the axes override them.

    Raises:
        InputError: a configuration file is missing, or a setting is invalid.
    """
    combinations = [
        (run, dict(zip(axes, names, strict=True)))
        for run in reproduction.runs
        for axes in [reproduction.axes_of(run)]
        for names in product(*(reproduction.axes[axis] for axis in axes))
    ]
    bar = progress(combinations, "Reading configurations", "trial", len(combinations))
    return [Row(run.names | names, _trial(reproduction, run, names, overrides), run.cells) for run, names in bar]


def unique(trials: Iterable[Trial]) -> list[Trial]:
    """Return the distinct trials, in order; the source of a trial comes before it."""
    with_sources = [one for trial in trials for one in ([trial.source] if trial.source else []) + [trial]]
    return list({trial.folder: trial for trial in with_sources}.values())


def shard(trials: list[Trial], number: int, of: int) -> list[Trial]:
    """Return shard `number` of `of` (1 is the first).

    All shards have about the same number of gradient evaluations. A trial with a source is in the shard of its source.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.source or trial).folder, []).append(trial)
    # a group without gradient evaluations counts as one, so that such groups are spread as well
    work = {folder: sum(trial.evaluations(MANY) for trial in group) or 1 for folder, group in groups.items()}
    loads, shard_of = [0] * of, {}
    for folder in sorted(groups, key=lambda folder: -work[folder]):
        shard_of[folder] = loads.index(min(loads)) + 1
        loads[shard_of[folder] - 1] += work[folder]
    return [trial for trial in trials if shard_of[(trial.source or trial).folder] == number]


def describe(names: dict[str, str]) -> str:
    """Return the names of a trial as text, such as "epsilon 5, tile 60 x 60"."""
    return ", ".join(f"{axis} {name}" for axis, name in names.items())


def _trial(reproduction: Reproduction, run: Run, names: dict[str, str], overrides: list[str]) -> Trial:
    title = describe(run.names | names)
    varied = {axis: name for axis, name in names.items() if axis != run.evaluate_on}
    layers = [run, *(reproduction.axes[axis][name] for axis, name in varied.items())]
    words = [*(word for layer in layers for word in layer.words), *options(run.arguments)]
    is_configured = reproduction.is_configured(run)
    if not is_configured and not any(RUN in word for word in words):
        words += [*overrides, *(word for layer in layers for word in options(layer.settings))]
        title = title or run.command
        return Trial(title, run.command, {}, words=filled(words, reproduction.folders), out=run.out)
    experiment = _experiment(reproduction, layers)

    def config(layers: list[Layer]) -> dict[str, Any]:
        with in_message_of(f"{reproduction.name}, {title or experiment}"):
            return resolved(reproduction.layers(experiment), overrides, layers, reproduction.folders)

    title = title or experiment
    learned = Trial(describe(varied) or experiment, "fit", config(layers))
    if not is_configured:
        return Trial(title, run.command, {}, {}, learned, filled(words, reproduction.folders), run.out)
    if run.evaluate_on is None:
        return Trial(title, run.command, learned.config, run.arguments)
    other = reproduction.axes[run.evaluate_on][names[run.evaluate_on]]
    return Trial(title, run.command, config([*layers, other]), run.arguments, learned)


def _experiment(reproduction: Reproduction, layers: list[Layer]) -> str:
    """Return the name of the experiment that layers override: the last one they name, or the only one."""
    named = [layer.experiment for layer in layers if layer.experiment]
    if not named and len(reproduction.experiments) != 1:
        raise InputError(
            f"{reproduction.name} has the experiments {', '.join(reproduction.experiments) or 'none'}, but a run names "
            "none of them. Add `experiment` to the run, or to the values of one of its axes.",
            kind="missing_setting",
        )
    return named[-1] if named else next(iter(reproduction.experiments))


def _last(path: Any) -> str:
    return str(path or "").rsplit(".", 1)[-1]
