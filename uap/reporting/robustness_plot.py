"""The plot of robustness curves: the IoU ratio over epsilon, with all networks in one picture."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uap.metrics.names import METRICS
from uap.reporting.robustness_tables import FORMS, Score, curves_of, epsilons_of

MARKERS = "osD^vPX*"
"""Of the attacks, in turn; the color is the network's."""

DASHES = ("-", "--", "-.", ":")


def curve_figure(scores: list[Score]) -> Figure:
    """Return the plot: float images on the left, 8-bit images on the right, epsilon on an axis of base 2.

    An attack without an epsilon is a horizontal line.
    """
    figure = Figure(figsize=(10.0, 5.2), dpi=200, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for plot, (form, images) in zip((left, right), FORMS.items(), strict=True):
        _draw_form(plot, scores, form)
        plot.set_title(f"adversarial images scored as {images}", fontsize=10)
    left.set_ylabel("IoU ratio in %")
    left.set_ylim(0, max(105, left.get_ylim()[1]))
    handles, labels = left.get_legend_handles_labels()
    networks = len({score.title for score in scores})
    # a legend is filled column by column, so that each network has its own
    figure.legend(handles, labels, loc="outside lower center", ncols=min(networks, 4), fontsize=8, frameon=False)
    return figure


def _draw_form(plot: Axes, scores: list[Score], form: str) -> None:
    networks = list(dict.fromkeys(score.title for score in scores))
    attacks = list(dict.fromkeys(score.attack for score in scores))
    epsilons = epsilons_of(scores)
    if epsilons:
        plot.set_xscale("log", base=2)
        plot.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
        plot.minorticks_off()
        plot.set_xlabel("epsilon in grey levels")
    plot.grid(alpha=0.3)
    for (network, attack), curve in curves_of(scores).items():
        number = attacks.index(attack)
        heights = [100 * score.metrics[form]["iou_ratio"] for score in curve]
        color, dashes = f"C{networks.index(network) % 10}", DASHES[number % len(DASHES)]
        label, marker = f"{network}, {attack}", MARKERS[number % len(MARKERS)]
        reached = [score.epsilon for score in curve if score.epsilon is not None]
        if reached:
            plot.plot(reached, heights, color=color, linestyle=dashes, label=label, marker=marker, markersize=4.5)
        else:
            plot.axhline(heights[0], color=color, linestyle=dashes, label=label, alpha=0.6)


def alternative_text(scores: list[Score]) -> str:
    """Return the plot in words, for who cannot see it."""
    parts = [
        f"{network}, {attack}: " + ", ".join(METRICS["iou_ratio"].text(s.metrics["float"]["iou_ratio"]) for s in curve)
        for (network, attack), curve in curves_of(scores).items()
    ]
    return "IoU ratio over epsilon, float images. " + "; ".join(parts)
