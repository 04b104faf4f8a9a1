"""The metrics of an attack: what files and tables call them, and which end of each is good.

Every table, curve, report and dashboard goes through these lists, so that a metric is added here and is counted in
`uap.metrics.COUNTS`, and nowhere else. This file needs no tensor library, for `uap.report` does without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AttackMetric:
    """A quotient of pixel counts.

    Attributes:
        name: in files.
        title: in tables.
        description: what is counted, in a line.
        higher_is_better: for the attacker.
        is_share: whether it is at most 1; a quotient of two predictions is not.
    """

    name: str
    title: str
    description: str
    higher_is_better: bool = True
    is_share: bool = True


STATIC = (AttackMetric("success_rate", "success", "Success rate: pixels that are the static target's class"),)
"""Those of a static target."""

DYNAMIC = (
    AttackMetric("hidden", "hidden", "Hidden: pixels of the hidden classes that got another class"),
    AttackMetric("preserved", "preserved", "Preserved: background pixels that kept their class"),
    AttackMetric(
        "remaining",
        "remaining",
        "Remaining: pixels predicted as the hidden classes, after the attack over before; can exceed 100 %",
        higher_is_better=False,
        is_share=False,
    ),
)
"""Those of a target that hides classes. Pixels that enter such a class elsewhere are seen by *remaining* alone."""

METRICS = {metric.name: metric for metric in (*STATIC, *DYNAMIC)}
"""All of them by name."""


def images_scored(scored: int, in_split: int) -> str:
    """Return of how many images metrics are, for tables: 8 of 48; or 48, where it is the whole split."""
    return f"{scored} of {in_split}" if scored < in_split else str(scored)


def overall(values: Mapping[str, float]) -> float:
    """Return the mean over metrics by name, each turned so that 1 is best; 0 of none. It can be below 0."""
    turned = [value if METRICS[name].higher_is_better else 1 - value for name, value in values.items()]
    return sum(turned) / max(len(turned), 1)
