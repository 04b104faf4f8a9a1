"""All metrics of an objective over a set of images, accumulated over batches and ranks."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MaxMetric, MeanMetric, Metric

from uap.metrics import perceptibility as change
from uap.metrics.certainty import confidence, entropy
from uap.metrics.counts import COUNTS
from uap.metrics.iou import ClassIoU
from uap.metrics.names import METRICS, RATES
from uap.metrics.rates import PixelRate, without_update_warning
from uap.objectives.base import Goal, Objective
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError

LABELED = ("miou_clean", "miou_adversarial")
"""The metrics that need labels."""

QUOTIENTS = {
    "iou_ratio": ("miou_adversarial", "miou_clean"),
    "source_ratio": ("source_kept", "preserved"),
    "normalized_miou": ("miou_off_target", "miou_off_target_clean"),
}
"""The metrics that are a metric divided by another one, over all images; they are there if both are."""

PERCEPTIBILITY = {
    "perceptibility": change.perceptibility,
    "mean_change": change.mean_change,
    "rms": change.rms_change,
    "psnr": change.psnr,
    "ssim": change.ssim,
}
"""Functions of images and adversarial images whose mean over images is a metric, by the metric's name."""

SOURCE_CHANGE = "source_change"
"""The metric that is the mean change inside of the region of the goal."""

CERTAINTY = {
    "confidence_clean": confidence,
    "confidence": confidence,
    "entropy_clean": entropy,
    "entropy": entropy,
}
"""Functions of logits whose mean over images is a metric if it is asked for, by the metric's name."""

IOU: "dict[str, Callable[[Outcome], tuple[Tensor, Tensor | None]]]" = {
    "miou_clean": lambda outcome: (outcome.clean, outcome.labels),
    "miou_adversarial": lambda outcome: (outcome.predicted, outcome.labels),
    "miou_clean_prediction": lambda outcome: (outcome.predicted, outcome.clean),
    "miou_target_before": lambda outcome: (outcome.clean, outcome.goal.labels),
    "miou_target": lambda outcome: (outcome.predicted, outcome.goal.labels),
    "miou_off_target_clean": lambda outcome: (outcome.clean, _off_target(outcome)),
    "miou_off_target": lambda outcome: (outcome.predicted, _off_target(outcome)),
}
"""The predictions and the reference of each metric that is a mean IoU, by the metric's name."""


@dataclass(frozen=True)
class Outcome:
    """The result of an attack on a batch of images.

    Attributes:
        images: `(N, 3, H, W)`, 0 to 255.
        adversarial: `(N, 3, H, W)`, 0 to 255, the images that are scored.
        clean: `(N, *L)`, predicted class ids on the clean images.
        predicted: `(N, *L)`, predicted class ids on the adversarial images.
        goal: the goal of the attack.
        labels: `(N, *L)` class ids of the network, 255 = ignored; None without labels.
        index: `(N,)`, the row of each image in its data set.
        logits: `(N, C, *L)` on the adversarial images; None if they are not known.
        clean_logits: `(N, C, *L)` on the clean images; None if they are not known.
    """

    images: Tensor
    adversarial: Tensor
    clean: Tensor
    predicted: Tensor
    goal: Goal
    labels: Tensor | None
    index: Tensor
    logits: Tensor | None = None
    clean_logits: Tensor | None = None


class Scores:
    """The metrics of an objective over a set of images.

    Counts of all images, and of all ranks, are summed before they are divided.

    Args:
        objective: names its metrics. The IoU with labels always applies.
        classes: number of classes of the network.
        device: device of the counts.
        perceptibility: whether the change of the images is measured too.
        extra: names of further metrics.

    Raises:
        InputError: a metric that has no count.

    Example:
        >>> from uap.objectives import Untargeted
        >>> scores = Scores(Untargeted(), classes=2, device="cpu")
        >>> image, clean = torch.full((1, 3, 1, 2), 9.0), torch.tensor([[[0, 1]]])
        >>> scores.update(Outcome(image, image, clean, clean, Goal(clean, sign=-1), None, torch.tensor([0])))
        >>> scores.compute()["kept"]
        1.0
    """

    def __init__(
        self,
        objective: Objective,
        classes: int,
        device: torch.device | str,
        *,
        perceptibility: bool = True,
        extra: tuple[str, ...] = (),
    ) -> None:
        """Start without images."""
        names = {*LABELED, *objective.metrics, *extra}
        known = {*COUNTS, *IOU, *CERTAINTY, SOURCE_CHANGE}
        if not names <= known:
            raise InputError(
                f"{type(objective).__name__} names metrics without a count: {', '.join(sorted(names - known))}. "
                f"Expected some of {', '.join(known)}; see docs/adding_an_attack.md for a new one.",
                kind="unknown_name",
            )
        self.hidden_classes: tuple[int, ...] = getattr(objective, "hidden_classes", ())
        self.counts = {name: PixelRate().to(device) for name in COUNTS if name in names}
        self.iou = {name: ClassIoU(classes).to(device) for name in IOU if name in names}
        measured = PERCEPTIBILITY if perceptibility else {}
        means = [*measured, *(name for name in CERTAINTY if name in names)]
        means += [SOURCE_CHANGE] if perceptibility and SOURCE_CHANGE in names else []
        self.means = {name: MeanMetric(nan_strategy="ignore").to(device) for name in means}
        self.largest = {name: MaxMetric().to(device) for name in (("max_norm",) if perceptibility else ())}

    @property
    def rates(self) -> dict[str, PixelRate]:
        """The rates of the objective on adversarial images, by name."""
        return {name: rate for name, rate in self.counts.items() if name in RATES}

    def update(self, outcome: Outcome) -> None:
        """Add a batch."""
        goal, predicted = outcome.goal, outcome.predicted
        batch = {"prediction": outcome.clean, "target": goal.labels, "hidden": goal.region}
        for name, rate in self.counts.items():
            rate.update(COUNTS[name](predicted, batch, self.hidden_classes), outcome.index)
        for name, iou in self.iou.items():
            prediction, reference = IOU[name](outcome)
            if reference is not None:
                iou.update(prediction, reference)
        for name, change_of in PERCEPTIBILITY.items():
            if name in self.means:
                values = change_of(outcome.images, outcome.adversarial)
                self.means[name].update(values[values.isfinite()].float())  # the PSNR of an unchanged image is infinite
        if SOURCE_CHANGE in self.means and goal.region is not None:
            inside = change.mean_change_inside(outcome.images, outcome.adversarial, goal.region)
            self.means[SOURCE_CHANGE].update(inside.float())
        for name, certainty in CERTAINTY.items():
            logits = outcome.clean_logits if name.endswith("_clean") else outcome.logits
            if name in self.means and logits is not None:
                self.means[name].update(certainty(logits))
        for largest in self.largest.values():
            largest.update(change.largest_change(outcome.images, outcome.adversarial).amax().float())

    @without_update_warning()
    def compute(self) -> dict[str, float]:
        """Return the metrics by name in the order of `METRICS`, without undefined ones. Every rank must call it."""
        metrics: dict[str, Metric] = {**self.counts, **self.means, **self.largest}
        found = {name: float(metric.compute()) for name, metric in metrics.items()}
        found |= {name: float(iou.compute().nanmean()) for name, iou in self.iou.items()}
        for name, (part, whole) in QUOTIENTS.items():
            if part in found and found.get(whole):
                found[name] = found[part] / found[whole]
        return {name: found[name] for name in METRICS if name in found and math.isfinite(found[name])}

    @without_update_warning()
    def per_image(self, names: list[str]) -> list[dict[str, Any]]:
        """Return a row for each image: its name, and hits, pixels and share of each rate. Every rank must call it.

        Args:
            names: the name of each image of the data set.
        """
        rows: dict[int, dict[str, Any]] = {}
        for name, rate in self.rates.items():
            for index, hits, pixels in rate.per_image().tolist():
                row = rows.setdefault(index, {"image": names[index]})
                share = round(hits / pixels, 6) if pixels else None
                row |= {f"{name}_hits": hits, f"{name}_pixels": pixels, name: share}
        return list(rows.values())


def _off_target(outcome: Outcome) -> Tensor | None:
    """Return the labels without those that the target has too; None without labels."""
    if outcome.labels is None:
        return None
    return outcome.labels.masked_fill(outcome.labels == outcome.goal.labels, IGNORE)
