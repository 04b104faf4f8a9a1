"""The contents of a reproduction's YAML file: experiments, axes, runs, metrics, and the paper's values."""

from dataclasses import dataclass, field
from typing import Any

COMMANDS = ("fit", "attack", "transfer")
"""The commands that a trial can run.

`fit` learns a universal perturbation. `attack` makes a perturbation for each image. `transfer` evaluates a universal
perturbation on another network or other data.
"""


@dataclass(frozen=True)
class Layer:
    """Files and settings that override a configuration.

    Attributes:
        configs: configuration files, in order.
        settings: values by their names on the command line, applied after the files. A value that names a class
            replaces the class and all its arguments.
        experiment: the experiment that the layer overrides; None if another layer names it.
    """

    configs: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    experiment: str | None = None


Axis = dict[str, Layer]
"""The values of an axis, by name."""


@dataclass(frozen=True)
class Grid:
    """All combinations of the values of some axes, run by one command: an entry of `runs` in the YAML file.

    Attributes:
        command: one of `COMMANDS`.
        axes: the names of the axes.
        layer: the layer that all trials share.
        arguments: the command's own arguments, such as the steps and images of `attack`.
        evaluate_on: for `transfer`, the axis of the networks and data to evaluate on.
            The other axes vary the perturbation.
        names: the texts in the table's columns of the axes that are not varied here.
    """

    command: str
    axes: list[str]
    layer: Layer
    arguments: dict[str, Any]
    evaluate_on: str | None
    names: dict[str, str]


@dataclass(frozen=True)
class Paper:
    """The values that the paper reports, and the setup behind them.

    Attributes:
        source: the paper and the number of its table or figure.
        network: the class name of the paper's network, as in `metrics.json`.
        data: the class name of the paper's data.
        size: height and width of the images, in pixels.
        images: number of training images.
        steps: number of steps, each over all images.
        rows: each row has the names of axes' values, and metrics by key, in per cent.
    """

    source: str
    network: str
    data: str
    size: list[int]
    images: int
    steps: int
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Reproduction:
    """The reproduction of one table or figure.

    Attributes:
        name: the file's name without its suffix.
        title: the title of the table and the page.
        shows: the result that the paper demonstrates, in a few sentences.
        experiments: the configurations that the trials override, by name.
        axes: the settings that vary, by name.
        grids: the combinations of axes that are run.
        metrics: the columns of the table: keys of `metrics.json` with their
            titles. `train/` stands for the training images, `scored/` for the evaluated ones.
        reduce: an axis, such as the seed, over whose values the table gives mean and standard deviation.
        curves: the axis of the plots; None for no plots.
        examples: number of attacked images of each trial on the page.
        perturbations: whether the page shows the perturbation of each trial.
        paper: the paper's values, if any.
        folders: paths by name. Settings refer to them as `{name}`, and each is an option of the
            command.
        on: the title of the data and network, if they are not the paper's.
    """

    name: str
    title: str
    shows: str
    experiments: dict[str, list[Layer]]
    axes: dict[str, Axis]
    grids: list[Grid]
    metrics: dict[str, str]
    reduce: str | None
    curves: str | None
    examples: int
    perturbations: bool
    paper: Paper | None
    folders: dict[str, str]
    on: str | None = None


def name_of(value: Any) -> str:
    """Return the name of a value in tables; a list becomes "a x b"."""
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)
