"""The figures of a perturbation on a network and images."""

import math

import torch
from torch import Tensor

from uap.data import SegmentationData
from uap.data.batch import Batch
from uap.metrics.iou import ClassIoU
from uap.metrics.names import METRICS
from uap.universal.callbacks.success import Scores
from uap.universal.module import UniversalAttack
from uap.utils.progress import progress
from uap.victims.setup_warnings import setup_warnings

TITLES = {
    **{
        name: METRICS[name].description
        for name in (
            "success_rate",
            "success_before",
            "hidden",
            "preserved",
            "remaining",
            "kept",
            "miou_clean_prediction",
            "miou_clean",
            "miou_adversarial",
        )
    },
    "miou_target_before": "Mean IoU with the target, clean images",
    "miou_target": "Mean IoU with the target, adversarial images",
}
"""Every figure by its name in the files, in the order of the tables; a share from 0 to 1 unless it says otherwise."""

CLEAN = ("success_before", "miou_clean", "miou_target_before")
"""The figures of the clean images, on which a perturbation has no part."""


class Figures:
    """The figures of `uap.universal.callbacks.success.Scores`, and the mean IoU of predictions with the target.

    That mean is over the classes of the target (Metzen et al., section 4, Generalizability, give it for a static one).
    """

    def __init__(self, attack: UniversalAttack, data: SegmentationData) -> None:
        """Count for the attack's target and network."""
        self.scores = Scores(attack, data, final=False)
        classes, device = len(attack.victim.table), attack.device
        names = ("miou_target_before", "miou_target") if attack.objective.sign > 0 else ()
        self.target_iou = {name: ClassIoU(classes).to(device) for name in names}

    def update(self, batch: Batch, predicted: Tensor) -> None:
        """Add a batch and the predictions (N, H, W) uint8 that are scored."""
        self.scores.update(batch, predicted)
        for name, iou in self.target_iou.items():
            iou.update(predicted if name == "miou_target" else batch["prediction"], batch["target"])

    def compute(self) -> dict[str, float]:
        """Return the figures in the order of `TITLES`; what has no pixel has none."""
        found = {key.removeprefix("/"): value for key, value in self.scores.compute("").items()}
        found |= {name: float(iou.compute().nanmean()) for name, iou in self.target_iou.items()}
        return {name: found[name] for name in TITLES if name in found and not math.isnan(found[name])}


@torch.no_grad()
def score(attack: UniversalAttack, data: SegmentationData, title: str) -> dict[str, float]:
    """Return the figures of the 8-bit adversarial images; `title` stands at the bar."""
    figures = Figures(attack, data)
    for batch in progress(data.loader("scored", shuffle=False), title, "batch"):
        batch = attack.transfer_batch_to_device(batch, attack.device, 0)
        figures.update(batch, attack.victim.predict(attack.perturbation.eight_bit(batch["image"])))
    return figures.compute()


def print_doubts(name: str, found: list[dict[str, float]]) -> None:
    """Print a warning where a network seems to be wired wrongly, by its best mean IoU with the labels."""
    clean = [figures["miou_clean"] for figures in found if "miou_clean" in figures]
    for doubt in setup_warnings(None, 0, max(clean, default=None)):
        print(f"warning: {name}: {doubt}", flush=True)
