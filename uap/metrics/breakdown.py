"""The success of an attack by image, by class, and by the size of hidden objects."""

import math
from typing import Any

import torch
from torch import Tensor

from uap.metrics.counts import SIZES, class_counts, left_classes, size_counts
from uap.metrics.names import RATES
from uap.metrics.rates import CountTable, distribution, without_update_warning
from uap.metrics.scores import Outcome, Scores
from uap.objectives.base import Objective


class Breakdown:
    """Counts by class and by object size, in addition to the `Scores` of the same images.

    Args:
        objective: the objective of the attack.
        names: class names of the network.
        device: device of the counts.
    """

    def __init__(self, objective: Objective, names: tuple[str, ...], device: torch.device | str) -> None:
        """Start without images."""
        self.names = names
        self.hidden_classes: tuple[int, ...] = getattr(objective, "hidden_classes", ())
        self.rate = next((name for name in RATES if name in objective.metrics), "reached")
        self.by_class = CountTable(len(self.names), 3).to(device)
        self.by_size = CountTable(len(SIZES), 3).to(device)

    def update(self, outcome: Outcome) -> None:
        """Add a batch."""
        labels, region, predicted = outcome.goal.labels, outcome.goal.region, outcome.predicted
        reached = predicted == labels
        if region is None or not self.hidden_classes:
            self._count(labels, reached, predicted)
            return
        hits = torch.where(region, left_classes(predicted, self.hidden_classes), reached)
        self._count(outcome.clean, hits, predicted)
        self.by_size.update(size_counts(predicted, region, self.hidden_classes))

    def _count(self, ids: Tensor, hits: Tensor, predicted: Tensor) -> None:
        """Count, for each class, hits and pixels of `ids`, and the pixels that are predicted as the class."""
        classes = len(self.names)
        after = class_counts(predicted, hits, classes)[:, 1:]
        self.by_class.update(torch.cat([class_counts(ids, hits, classes), after], dim=1))

    @without_update_warning()
    def compute(self, scores: Scores) -> dict[str, Any]:
        """Return the details of `metrics.json`. Every rank must call it.

        Args:
            scores: the scores of the same images.
        """
        per_image = {
            name: distribution(rate.per_image()[:, 1:], higher_is_better=RATES[name].higher_is_better is not False)
            for name, rate in scores.rates.items()
        }
        details: dict[str, Any] = {"per_image": {name: found for name, found in per_image.items() if found}}
        if self.hidden_classes:
            details["hidden_by_size"] = {
                size: {"objects": objects, "pixels": pixels, "hidden": round(hits / pixels, 6)}
                for size, (objects, pixels, hits) in zip(SIZES, self.by_size.compute().tolist(), strict=True)
                if objects
            }
        return details | {"by_class": self._rows(scores)}

    def _rows(self, scores: Scores) -> list[dict[str, Any]]:
        counts, labeled = self.by_class.compute().tolist(), scores.iou["miou_clean"].total().sum(1).tolist()
        clean, adversarial = (scores.iou[name].compute().tolist() for name in ("miou_clean", "miou_adversarial"))
        rows = []
        for class_id, (hits, pixels, after) in enumerate(counts):
            if pixels or labeled[class_id]:
                rows.append(
                    {
                        "class": self.names[class_id],
                        "pixels": pixels or labeled[class_id],
                        self._rate(class_id): _quotient(hits, pixels),
                        **({"remaining": _quotient(after, pixels)} if self._is_hidden(class_id) else {}),
                        "iou_clean": _number(clean[class_id]),
                        "iou_adversarial": _number(adversarial[class_id]),
                    }
                )
        return rows

    def _rate(self, class_id: int) -> str:
        if not self.hidden_classes:
            return self.rate
        return "hidden" if self._is_hidden(class_id) else "preserved"

    def _is_hidden(self, class_id: int) -> bool:
        return class_id in self.hidden_classes


def _quotient(hits: int, pixels: int) -> float | None:
    return round(hits / pixels, 6) if pixels else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
