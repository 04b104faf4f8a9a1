"""The contents of a reproduction's YAML file: experiments, axes, runs, metrics, and the paper's values.

Values that stay as they stand in the file have the type `dict`: with `dict[str, Any]` the parser would resolve the
classes that they name.
"""

from dataclasses import dataclass, field
from typing import Any

CONFIGURED = ("fit", "attack", "transfer")
"""The commands that start with a complete configuration of `uap.fit`, if neither the run nor its axes have `words`.

`fit` learns a universal perturbation. `attack` makes a perturbation for each image. `transfer` evaluates the
perturbation of a `fit` on another network or other data.
"""


@dataclass(frozen=True)
class Layer:
    """Files and settings that override a configuration, or words and options of a command line.

    Attributes:
        configs: configuration files, in order.
        settings: values by their names on the command line, applied after the files. A value that names a class
            replaces the class and all its arguments. `{victim: NAME, weights: FILE}` is the network of
            `configs/victim/NAME.yaml` with other weights.
        experiment: the experiment that the layer overrides; None if another layer names it.
        words: words of the command line without a name, such as the networks of `uap robustness`.
    """

    configs: list[str] = field(default_factory=list)
    settings: dict = field(default_factory=dict)  # type: ignore[type-arg]
    experiment: str | None = None
    words: list[str] = field(default_factory=list)


Axis = dict[str, Layer]
"""The values of an axis, by name."""


@dataclass(frozen=True)
class Run(Layer):
    """All combinations of the values of some axes, run by one command. Its own layer applies to all of them.

    Attributes:
        command: the name of a command of `uap`.
        axes: the names of the axes; None for all.
        arguments: the command's own arguments, such as the steps and images of `attack`. Each is an option of
            `uap reproduce`, such as `--attack.images`.
        evaluate_on: for a `transfer` without `words`, the axis of the networks and data to evaluate on.
            The other axes vary the perturbation.
        names: the texts in the table's columns of the axes that are not varied here.
        cells: columns of the table that come from the file of the results: for each title, the key of a cell, such as
            `attack`. The key `form` is `float` or `8-bit` for cells with metrics of both.
        out: the command's option for the folder to write to.
    """

    command: str = "fit"
    axes: list[str] | None = None
    arguments: dict = field(default_factory=dict)  # type: ignore[type-arg]
    evaluate_on: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    out: str = "out"


@dataclass(frozen=True)
class Paper:
    """The values that the paper reports, and the setup behind them.

    Attributes:
        source: the paper and the number of its table or figure.
        network: the class name of the paper's network, as in `metrics.json`.
        data: the class name of the paper's data.
        size: height and width of the images, in pixels; empty for images of different sizes.
        images: number of training images, or of attacked images; 0 if the paper does not say.
        steps: number of steps, each over all images; None if nothing is learned.
        rows: each row has the names of axes' values, and metrics by key, in per cent.
    """

    source: str
    network: str
    data: str
    size: list[int]
    images: int
    steps: int | None = None
    rows: list[dict] = field(default_factory=list)  # type: ignore[type-arg]


@dataclass(frozen=True)
class Setup:
    """Other data and networks for a reproduction: the contents of a file of `--on`.

    Attributes:
        title: the title of the data.
        network: the network of the experiments; none without experiments.
        experiments: a layer for each experiment.
        axes: axes that replace those of the same name.
        arguments: arguments of commands, by the name of the command; they override those of the runs.
        folders: paths by name.
    """

    title: str
    network: str = ""
    experiments: dict[str, Layer] = field(default_factory=dict)
    axes: dict[str, Axis] = field(default_factory=dict)
    arguments: dict[str, dict] = field(default_factory=dict)  # type: ignore[type-arg]
    folders: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reproduction:
    """The reproduction of one table or figure.

    Attributes:
        title: the title of the table and the page.
        shows: the result that the paper demonstrates, in a few sentences.
        metrics: the columns of the table: keys of metrics with their titles. `train/` stands for the training images,
            `scored/` for the evaluated ones, `control/` for random signs or clean images, and `float/` and `8-bit/` for
            the two forms of adversarial images.
        experiments: the configurations that the trials override, by name.
        axes: the settings that vary, by name.
        runs: the combinations of axes that are run.
        reduce: an axis, such as the seed, over whose values the table gives mean and standard deviation.
        columns: an axis whose values are columns of the table; None for a row for each value.
        curves: the axis of the plots; None for no plots.
        panels: an axis with a plot for each of its values.
        examples: number of attacked images of each trial on the page.
        perturbations: whether the page shows the perturbation of each trial.
        paper: the paper's values, if any.
        folders: paths by name. Settings and words refer to them as `{name}`, and each is an option of the command.
        labels: the texts in the table for names in the files of results, such as `dense CRF` for `espnet, dense_crf`.
        omit: the cells of the results that the table leaves out: their texts by the titles of `cells`.
        name: the file's name without its suffix; not in the file.
        on: other data and networks than those of the file; not in the file.
    """

    title: str
    shows: str
    metrics: dict[str, str]
    experiments: dict[str, Layer] = field(default_factory=dict)
    axes: dict[str, Axis] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=lambda: [Run()])
    reduce: str | None = None
    columns: str | None = None
    curves: str | None = None
    panels: str | None = None
    examples: int = 0
    perturbations: bool = False
    paper: Paper | None = None
    folders: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    omit: list[dict] = field(default_factory=list)  # type: ignore[type-arg]
    name: str = ""
    on: Setup | None = None

    def layers(self, experiment: str) -> list[Layer]:
        """Return the layers of an experiment: its own, and that of the other data and networks."""
        return [self.experiments[experiment], *([self.on.experiments[experiment]] if self.on else [])]

    def axes_of(self, run: Run) -> list[str]:
        """Return the names of the axes of a run."""
        return list(self.axes) if run.axes is None else run.axes

    def layers_of(self, run: Run) -> list[Layer]:
        """Return the layer of a run, and those of all values of its axes."""
        return [run, *(layer for axis in self.axes_of(run) for layer in self.axes[axis].values())]

    def is_configured(self, run: Run) -> bool:
        """Whether the command reads a complete configuration; otherwise words and settings are its command line."""
        return run.command in CONFIGURED and not any(layer.words for layer in self.layers_of(run))


def name_of(value: Any) -> str:
    """Return the name of a value in tables; a list becomes "a x b".

    Example:
        >>> name_of([256, 512]), name_of(8.0), name_of("all")
        ('256 x 512', '8', 'all')
    """
    if isinstance(value, list):
        return " x ".join(map(name_of, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
