"""The labels of runs: their names, and the colors that tell them apart all over a page."""

from dataclasses import dataclass

from uap.reporting.run import Run

RUN_COLORS = 8
"""Number of colors for runs in style.css."""


@dataclass(frozen=True)
class Label:
    """The label of a run.

    Attributes:
        name: the name of the run.
        color: the CSS class for its color.
    """

    name: str
    color: str


def color(run: int) -> str:
    """Return the CSS class for the color of the run with this index."""
    return f"run-{run % RUN_COLORS}"


def labels(runs: list[Run]) -> list[Label]:
    """Return the label of each run."""
    return [Label(run.name, color(i)) for i, run in enumerate(runs)]
