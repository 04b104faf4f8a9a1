"""A reproduction: what is run, what is varied, what is tabulated, and what the paper reports."""

from dataclasses import dataclass, field
from typing import Any

DOORS = ("fit", "attack", "transfer")
"""What a point can be: a perturbation for all images, one for each image, or a score of the first on something else."""


@dataclass(frozen=True)
class Layer:
    """What goes over a configuration.

    Attributes:
        configs: configuration files, in order.
        settings: then single values by their names on the command line; one that names a class starts that part anew.
        experiment: the experiment that it all goes over, where the layer chooses one.
    """

    configs: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    experiment: str | None = None


Axis = dict[str, Layer]
"""The values of something that is varied, by name."""


@dataclass(frozen=True)
class Family:
    """Points of one kind: all combinations of some axes.

    Attributes:
        command: one of `DOORS`.
        axes: names of the axes that are varied.
        layer: what all points have in common.
        arguments: the command's own, beside the configuration: the steps and images of `attack`.
        onto: for `transfer`, the axis of what is scored; the others are those of what is learned.
        names: what stands in the table under axes that are not varied here.
    """

    command: str
    axes: list[str]
    layer: Layer
    arguments: dict[str, Any]
    onto: str | None
    names: dict[str, str]


@dataclass(frozen=True)
class Paper:
    """What the paper reports.

    Attributes:
        source: which table or figure of which paper.
        network: the class of the paper's network, as `metrics.json` calls it.
        data: the class of its data.
        size: height and width of its images.
        images: how many it learned from.
        steps: how many it took, each over all images.
        rows: per cent by figure, beside the names of the axes' values that they belong to.
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
    """One table or figure.

    Attributes:
        name: of the file, without its ending.
        title: in a few words.
        shows: what the paper shows with it, in some sentences.
        experiments: the configurations that points start from, by name.
        axes: what is varied.
        families: the points.
        figures: what is tabulated: keys of `metrics.json` (`train/` and `scored/` for the two sets of images) and
            their titles.
        reduce: an axis whose values are summed up as mean and spread, such as seeds.
        curves: the axis over which curves are drawn.
        examples: how many attacked images of each point the page shows.
        perturbations: whether the page shows the perturbation of each point.
        paper: what the paper reports.
        places: folders that settings name in braces, each an option of the command.
        on: what it is run on, where that is not the paper's own.
    """

    name: str
    title: str
    shows: str
    experiments: dict[str, list[Layer]]
    axes: dict[str, Axis]
    families: list[Family]
    figures: dict[str, str]
    reduce: str | None
    curves: str | None
    examples: int
    perturbations: bool
    paper: Paper | None
    places: dict[str, str]
    on: str | None = None


def name_of(value: Any) -> str:
    """Return what a value is called in tables: lists as a x b."""
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)
