"""Where the attack succeeds and where it does not: by image, by class and by the size of what is hidden."""

import math
from typing import Any

import torch
from torch import Tensor

from uap.data.batch import Batch
from uap.metrics.counts import SIZES, class_counts, left_classes, size_counts
from uap.metrics.iou import ClassIoU
from uap.metrics.names import RATES
from uap.metrics.rates import CountTable, PixelRate, distribution
from uap.universal.module import UniversalAttack


class Breakdown:
    """Counts by class and by size beside the figures of one set of images."""

    def __init__(self, attack: UniversalAttack) -> None:
        """Count for the attack's target on its device."""
        self.names = attack.victim.table.names
        self.hidden_classes = attack.objective.hidden_classes
        self.rate = next(name for name in RATES if name in attack.objective.metrics)
        self.by_class = CountTable(len(self.names), 3).to(attack.device)
        self.by_size = CountTable(len(SIZES), 3).to(attack.device)

    def update(self, batch: Batch, predicted: Tensor) -> None:
        """Add a batch and the predictions (N, H, W) on its adversarial images."""
        target, hidden = batch["target"], batch["hidden"]
        kept = predicted == target
        if not self.hidden_classes:
            self._count(target, kept, predicted)
            return
        hits = torch.where(hidden, left_classes(predicted, self.hidden_classes), kept)
        self._count(batch["prediction"], hits, predicted)
        self.by_size.update(size_counts(predicted, hidden, self.hidden_classes))

    def _count(self, ids: Tensor, hits: Tensor, predicted: Tensor) -> None:
        """Count by class hits and pixels of `ids`, and the pixels that are predicted as the class."""
        classes = len(self.names)
        after = class_counts(predicted, hits, classes)[:, 1:]
        self.by_class.update(torch.cat([class_counts(ids, hits, classes), after], dim=1))

    def compute(self, rates: dict[str, PixelRate], iou: dict[str, ClassIoU]) -> dict[str, Any]:
        """Return what `metrics.json` has beside the figures; on all ranks together.

        Args:
            rates: of the same images, by name.
            iou: `miou_clean` and `miou_adversarial` of the same images.
        """
        per_image = {
            name: distribution(rate.per_image()[:, 1:], higher_is_better=RATES[name].higher_is_better is not False)
            for name, rate in rates.items()
        }
        details: dict[str, Any] = {"per_image": {name: found for name, found in per_image.items() if found}}
        if self.hidden_classes:
            details["hidden_by_size"] = {
                size: {"objects": objects, "pixels": pixels, "hidden": round(hits / pixels, 6)}
                for size, (objects, pixels, hits) in zip(SIZES, self.by_size.compute().tolist(), strict=True)
                if objects
            }
        return details | {"by_class": self._rows(iou)}

    def _rows(self, iou: dict[str, ClassIoU]) -> list[dict[str, Any]]:
        counts, labeled = self.by_class.compute().tolist(), iou["miou_clean"].total().sum(1).tolist()
        clean, adversarial = (iou[name].compute().tolist() for name in ("miou_clean", "miou_adversarial"))
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
