"""The charts of a page: logged metrics over the steps, and the distribution of the attack's metrics over the images."""

from dataclasses import dataclass, field

from uap.metrics import names
from uap.reporting.chart import Line, color, histogram, line_chart
from uap.reporting.facts import worst_tenth
from uap.reporting.markup import Markup, tag
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


def curves(runs: list[Run]) -> Markup | None:
    """Return the charts for which any run has values; each shows all runs."""
    charts = [figure for chart in CHARTS if (figure := _figure(chart, runs))]
    names = [tag("li", tag("span", class_=f"swatch {color(i)}"), run.name) for i, run in enumerate(runs)]
    legend = tag("ul", *names, class_="legend") if len(runs) > 1 else None
    return tag("div", legend, tag("div", *charts, class_="charts")) if charts else None


def _figure(chart: Chart, runs: list[Run]) -> Markup | None:
    lines, styles = [], {}
    for pattern, label in (chart.solid | chart.dashed).items():
        for i, run in enumerate(runs):
            points = [(x, chart.factor * y) for x, y in _column(run, pattern)]
            if points:
                lines.append(Line(label, points, i, pattern in chart.dashed))
                styles[label] = "dashed" if pattern in chart.dashed else "solid"
    if all(len(line.points) < 2 for line in lines):  # an evaluation logs a single step
        return None
    key = tag("span", *[tag("span", label, class_=style) for label, style in styles.items()], class_="key")
    caption = tag("figcaption", tag("strong", chart.title), key)
    return tag("figure", caption, line_chart(chart.title, lines, "step"), class_="chart")


def _column(run: Run, pattern: str) -> Series:
    if not pattern.startswith("*"):
        return run.curves.get(pattern, [])
    names = [name for name in run.curves if name.endswith(pattern[1:]) and not name.startswith("train/")]
    return run.curves[names[0]] if names else []


def distributions(runs: list[Run]) -> Markup | None:
    """Return a histogram over the scored images for each rate of each run."""
    charts = []
    for i, run in enumerate(runs):
        for rate in run.rates:
            shares = [row[rate] for row in run.images if is_number(row.get(rate))]
            if shares:
                charts.append(_histogram(run, i, rate, shares, len(runs) > 1))
    return tag("div", *charts, class_="charts") if charts else None


def _histogram(run: Run, number: int, rate: str, shares: list[float], several: bool) -> Markup:
    worst, name = worst_tenth(run, rate), RATES[rate]
    run_name = tag("span", run.name, class_=f"run {color(number)}") if several else None
    caption = tag("figcaption", tag("strong", f"{name.capitalize()} by image"), run_name, _spread(run, rate))
    mark = 100 * worst if is_number(worst) else None
    title = f"{name.capitalize()} by image: {run.name}"
    svg = histogram(title, [100 * share for share in shares], number, mark, f"{name}, % of pixels")
    return tag("figure", caption, svg, class_="chart")


def _spread(run: Run, rate: str) -> Markup | None:
    deciles = run.entry("per_image", dict).get(rate, {}).get("deciles")
    if not isinstance(deciles, list) or len(deciles) != 11:
        return None
    quantiles = {"lowest": deciles[0], "median": deciles[5], "highest": deciles[10]}
    return tag("span", ", ".join(f"{name} {percent(value)}" for name, value in quantiles.items()), class_="key")
