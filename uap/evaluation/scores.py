"""The metrics of an evaluation, summed up batch by batch."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from uap.metrics import perceptibility as change
from uap.metrics.counts import COUNTS
from uap.metrics.names import METRICS
from uap.objectives.base import Goal, Objective
from uap.utils.class_tables import IGNORE

PERCEPTIBILITY = {
    "perceptibility": change.perceptibility,
    "rms": change.rms_change,
    "psnr": change.psnr,
    "ssim": change.ssim,
}
"""The functions of images and adversarial images whose mean over images is a metric, by its key."""


@dataclass(frozen=True)
class Outcome:
    """What an attack did to a batch.

    Attributes:
        images: `(N, 3, H, W)` float32, 0 to 255.
        adversarial: `(N, 3, H, W)` float32, the images that are scored.
        clean: `(N, *L)` int64, the predictions on the clean images.
        predicted: `(N, *L)` int64, the predictions on the adversarial images.
        goal: what the attacker wanted.
        labels: `(N, *L)` int64 class ids, 255 = ignored; None without labels.
    """

    images: Tensor
    adversarial: Tensor
    clean: Tensor
    predicted: Tensor
    goal: Goal
    labels: Tensor | None


ALWAYS = ("kept", "miou_clean", "miou_adversarial", "iou_ratio", "max_norm", *PERCEPTIBILITY)
"""The metrics of every objective; the others apply where the objective names them."""


class Scores:
    """All metrics of one objective over the images of an evaluation."""

    def __init__(self, classes: int, objective: Objective, device: torch.device) -> None:
        """Count `classes` classes for the metrics that the objective names, and for those that always apply."""
        self.keys = {*ALWAYS, *objective.metrics}
        self.hidden_classes = getattr(objective, "hidden_classes", ())
        self.counts = {name: torch.zeros(2, dtype=torch.int64, device=device) for name in COUNTS if name in self.keys}
        self.confusion = {
            key: MulticlassConfusionMatrix(classes, ignore_index=IGNORE, validate_args=False).to(device)
            for key in ("miou_clean", "miou_adversarial", "miou_clean_prediction")
        }
        self.means = {key: MeanMetric(nan_strategy="ignore").to(device) for key in PERCEPTIBILITY}
        self.largest = MaxMetric().to(device)
        self.is_labeled = False

    def update(self, outcome: Outcome) -> None:
        """Add a batch."""
        goal, clean, predicted = outcome.goal, outcome.clean, outcome.predicted
        batch = {"prediction": clean, "target": goal.labels, "hidden": goal.region}
        for name, total in self.counts.items():
            total += COUNTS[name](predicted, batch, self.hidden_classes).sum(0)
        self.confusion["miou_clean_prediction"].update(predicted, clean)
        if outcome.labels is not None:
            self.is_labeled = True
            self.confusion["miou_clean"].update(clean, outcome.labels)
            self.confusion["miou_adversarial"].update(predicted, outcome.labels)
        for key, function in PERCEPTIBILITY.items():
            values = function(outcome.images, outcome.adversarial)
            self.means[key].update(values[values.isfinite()].to(outcome.images.device))
        self.largest.update(change.largest_change(outcome.images, outcome.adversarial).amax().float())

    def compute(self) -> dict[str, float]:
        """Return the metrics by key, in the order of `uap.metrics.names.METRICS`; what is undefined is left out."""
        counts = {name: total.tolist() for name, total in self.counts.items()}
        found = {name: hits / counted if counted else math.nan for name, (hits, counted) in counts.items()}
        found["max_norm"] = float(self.largest.compute())
        found["miou_clean_prediction"] = _mean_iou(self.confusion["miou_clean_prediction"])
        if self.is_labeled:
            found |= {key: _mean_iou(self.confusion[key]) for key in ("miou_clean", "miou_adversarial")}
            found["iou_ratio"] = found["miou_adversarial"] / found["miou_clean"] if found["miou_clean"] else math.nan
        found |= {key: float(mean.compute()) for key, mean in self.means.items() if mean.update_called}
        return {key: found[key] for key in METRICS if key in self.keys & found.keys() and not math.isnan(found[key])}


def _mean_iou(confusion: MulticlassConfusionMatrix) -> float:
    """Return the mean IoU over the classes that the reference has (the rows); NaN without any."""
    counts = confusion.compute().cpu().double()
    hits, reference = counts.diagonal(), counts.sum(1)
    iou = hits / (counts.sum(0) + reference - hits)
    return float(iou[reference > 0].mean())
