"""Success of the attack on the images that it was not learned from, after every epoch."""

import math
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from uap.data.batch import Batch
from uap.data.datamodule import SegmentationData, data_of
from uap.metrics.counts import COUNTS
from uap.metrics.iou import ClassIoU
from uap.metrics.names import RATES, overall
from uap.metrics.rates import PixelRate, maybe_of_nothing
from uap.universal.callbacks.breakdown import Breakdown
from uap.universal.module import UniversalAttack
from uap.victims.label_order import other_ids


class Scores:
    """The metrics of one set of images: those of the target's kind, and IoU where there are labels."""

    def __init__(self, attack: UniversalAttack, data: SegmentationData, *, final: bool) -> None:
        """Count for the attack's target on its device, with the data's labels in the victim's classes.

        Args:
            attack: what is scored.
            data: what it is scored on.
            final: whether to count by class and by size too, which the validations within a fit do without.
        """
        device, classes = attack.device, len(attack.victim.table)
        self.hidden_classes = attack.objective.hidden_classes
        own = attack.objective.metrics
        self.rates = {name: PixelRate().to(device) for name in RATES if name in own}
        # an image may show a part of the scene without the perturbation
        self.before = {name: PixelRate().to(device) for name in own if name == "success_before"}
        self.iou = {name: ClassIoU(classes).to(device) for name in ("miou_clean", "miou_adversarial")}
        self.clean_iou = {name: ClassIoU(classes).to(device) for name in own if name == "miou_clean_prediction"}
        self.breakdown = Breakdown(attack) if final else None
        self.table, self.labels = attack.victim.table, data.table
        self.translation = torch.from_numpy(self.labels.translation(self.table)).to(device)

    def update(self, batch: Batch, predicted: Tensor) -> None:
        """Add a batch and the predictions (N, H, W) on its adversarial images."""
        for name, rate in (self.rates | self.before).items():
            rate.update(COUNTS[name](predicted, batch, self.hidden_classes), batch["index"])
        for iou in self.clean_iou.values():
            iou.update(predicted, batch["prediction"])
        labels = self.translation[batch["labels"].long()]
        self.iou["miou_clean"].update(batch["prediction"], labels)
        self.iou["miou_adversarial"].update(predicted, labels)
        if self.breakdown is not None:
            self.breakdown.update(batch, predicted)

    @maybe_of_nothing()
    def compute(self, prefix: str) -> dict[str, float]:
        """Return the figures under `prefix`/name; on all ranks together. What has no pixel has no figure."""
        figures = {name: float(rate.compute()) for name, rate in (self.rates | self.before).items()}
        figures |= {name: float(iou.compute().nanmean()) for name, iou in (self.clean_iou | self.iou).items()}
        return {f"{prefix}/{name}": value for name, value in figures.items() if not math.isnan(value)}

    @maybe_of_nothing()
    def details(self) -> dict[str, Any]:
        """Return the final figures by image, by class and by size, as in `metrics.json`; on all ranks together."""
        if self.breakdown is None:
            raise RuntimeError("Scores.details was called on scores that are not final")
        return self.breakdown.compute(self.rates, self.iou)

    def other_ids(self) -> str | None:
        """Return a sentence if the labels fit the clean predictions with other ids; on all ranks together."""
        return other_ids(self.iou["miou_clean"].total(), self.table, self.labels)

    def per_image(self, data: SegmentationData) -> list[dict[str, Any]]:
        """Return a row for each scored image: its name, and the hits, pixels and share of each rate. On all ranks."""
        items = data.datasets["scored"].items
        rows: dict[int, dict[str, Any]] = {}
        for name, rate in self.rates.items():
            for index, hits, pixels in rate.per_image().tolist():
                row = rows.setdefault(index, {"image": items[index].name})
                share = round(hits / pixels, 6) if pixels else None
                row |= {f"{name}_hits": hits, f"{name}_pixels": pixels, name: share}
        return list(rows.values())


class SuccessMetrics(Callback):
    """Scores the 8-bit adversarial images of the validation and logs the figures."""

    def __init__(self) -> None:
        """Score nothing yet."""
        self.scores: Scores

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count anew."""
        final = trainer.state.fn != TrainerFn.FITTING
        self.scores = Scores(cast(UniversalAttack, pl_module), data_of(trainer), final=final)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch; `outputs` are its predictions."""
        self.scores.update(batch, outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures and, for the checkpoint, the one that is to be high."""
        prefix = data_of(trainer).split
        figures = self.scores.compute(prefix)
        for name, rate in figures.items():
            pl_module.log(name, rate, prog_bar="miou" not in name and "before" not in name)
        reached = {name: figures[f"{prefix}/{name}"] for name in RATES if f"{prefix}/{name}" in figures}
        pl_module.log("score", overall(reached))
