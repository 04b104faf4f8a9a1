"""The charts of a page: logged metrics over the steps, and the distribution of the attack's metrics over the images."""

from dataclasses import dataclass, field

from uap.metrics import names
from uap.reporting.chart import Drawing, Line, histogram, line_chart
from uap.reporting.facts import worst_tenth
from uap.reporting.labels import Label, labels
from uap.reporting.numbers import is_number, percent
from uap.reporting.run import RATES, Run, Series


@dataclass(frozen=True)
class Chart:
    """A chart with a line for each run.

    Attributes:
        title: the title with the unit.
        solid: columns of metrics.csv and their labels; `*` matches any set of images except the training images.
        dashed: columns of a second quantity, likewise.
        factor: converts the file's unit to the title's unit.
    """

    title: str
    solid: dict[str, str]
    dashed: dict[str, str] = field(default_factory=dict)
    factor: float = 100


@dataclass(frozen=True)
class Figure:
    """A chart with its caption.

    Attributes:
        title: the title.
        drawing: the chart.
        key: the labels of the lines, with the style of each: solid or dashed.
        label: the run that the chart is about; None if it is about all runs of the page.
        note: a line of text.
    """

    title: str
    drawing: Drawing
    key: dict[str, str] = field(default_factory=dict)
    label: Label | None = None
    note: str = ""


CHARTS = [
    Chart("Loss", {"train/loss": "training batches"}, factor=1),
    Chart("Pixels that show the target, %", {"*/success_rate": "scored images"}, {"train/success": "training batches"}),
    *(
        Chart(f"{metric.title.capitalize()} pixels, %", {f"*/{metric.name}": metric.title})
        for metric in names.RATES.values()
        if metric.name != "success_rate"
    ),
    Chart("Mean IoU with the labels, %", {"*/miou_adversarial": "adversarial"}, {"*/miou_clean": "clean"}),
    Chart("Epsilon reached, grey levels", {"perturbation/linf": "largest entry of the perturbation"}, factor=1),
    Chart("Saturation, %", {"perturbation/saturation": "entries at epsilon"}),
    Chart("Sign flips, %", {"perturbation/sign_flips": "entries that move back"}),
]


def curves(runs: list[Run]) -> list[Figure]:
    """Return the charts for which any run has values; each shows all runs."""
    return [figure for chart in CHARTS if (figure := _figure(chart, runs))]


def distributions(runs: list[Run]) -> list[Figure]:
    """Return a histogram over the scored images for each rate of each run."""
    figures = []
    for number, (run, label) in enumerate(zip(runs, labels(runs), strict=True)):
        for rate in run.rates:
            shares = [100 * row[rate] for row in run.images if is_number(row.get(rate))]
            if shares:
                worst, title = worst_tenth(run, rate), f"{RATES[rate].capitalize()} by image"
                mark = 100 * worst if is_number(worst) else None
                drawing = histogram(f"{title}: {run.name}", shares, number, mark, f"{RATES[rate]}, % of pixels")
                figures.append(Figure(title, drawing, label=label if len(runs) > 1 else None, note=_spread(run, rate)))
    return figures


def _figure(chart: Chart, runs: list[Run]) -> Figure | None:
    lines, key = [], {}
    for pattern, label in (chart.solid | chart.dashed).items():
        for i, run in enumerate(runs):
            points = [(x, chart.factor * y) for x, y in _column(run, pattern)]
            if points:
                lines.append(Line(label, points, i, pattern in chart.dashed))
                key[label] = "dashed" if pattern in chart.dashed else "solid"
    if all(len(line.points) < 2 for line in lines):  # an evaluation logs a single step
        return None
    return Figure(chart.title, line_chart(chart.title, lines, "step"), key)


def _column(run: Run, pattern: str) -> Series:
    if not pattern.startswith("*"):
        return run.curves.get(pattern, [])
    names = [name for name in run.curves if name.endswith(pattern[1:]) and not name.startswith("train/")]
    return run.curves[names[0]] if names else []


def _spread(run: Run, rate: str) -> str:
    deciles = run.entry("per_image", dict).get(rate, {}).get("deciles")
    if not isinstance(deciles, list) or len(deciles) != 11:
        return ""
    quantiles = {"lowest": deciles[0], "median": deciles[5], "highest": deciles[10]}
    return ", ".join(f"{name} {percent(value)}" for name, value in quantiles.items())
