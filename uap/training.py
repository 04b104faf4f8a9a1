"""Training a victim on labelled scenes: the recipe of the networks that ship in `checkpoints/`."""

from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from uap.data.base import Batch, data_of
from uap.data.transforms import Augmentation
from uap.errors import InputError
from uap.labels import IGNORE, LabelTable
from uap.metrics import ClassIoU


class VictimTraining(LightningModule):
    """Trains a network with weighted cross entropy, AdamW and a polynomial schedule.

    The network sees (image - mean) / std of RGB grey levels, as `FrozenVictim` with the same `mean` and `std` shows it.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, float, float] = (128.0, 128.0, 128.0),
        std: tuple[float, float, float] = (64.0, 64.0, 64.0),
        crop: tuple[int, int] = (192, 384),
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-4,
    ) -> None:
        """Describe the training.

        Args:
            network: normalised images `(N, 3, H, W)` to logits of that size, one channel per class of the data.
            mean: in grey levels.
            std: in grey levels.
            crop: height and width of the augmented training crops.
            learning_rate: at the start; it falls to 0 by a power of 0.9.
            weight_decay: of AdamW.
        """
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.crop = crop
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.table: LabelTable
        self.iou: ClassIoU
        self.class_weights: Tensor

    def setup(self, stage: str) -> None:
        """Count the classes of the training labels and switch the augmentation on.

        Raises:
            InputError: nothing is labelled, or the network has not one output per class.
        """
        data = data_of(self.trainer)
        self.table = data.table
        self.iou = ClassIoU(len(self.table))
        pixels = torch.zeros(256, dtype=torch.int64)
        for item in data.datasets["train"].items[:200]:
            if item.labels is not None:
                pixels += torch.bincount(torch.from_numpy(data.read_labels(item.labels)).flatten(), minlength=256)
        self._check(pixels)
        self.class_weights = class_weights(pixels[: len(self.table)])
        data.datasets["train"].augment = Augmentation(self.crop)

    @torch.no_grad()
    def _check(self, pixels: Tensor) -> None:
        if pixels[: len(self.table)].sum() == 0:
            raise InputError(
                "No training image has a labelled pixel. A network learns from labels: add them to the data."
            )
        self.network.eval()  # BatchNorm does not learn from grey
        shape = self(torch.full((1, 3, *self.crop), 128, dtype=torch.uint8)).shape
        self.network.train()
        if shape != (1, len(self.table), *self.crop):
            raise InputError(
                f"The network gives {tuple(shape)} for one image of {self.crop}, expected (1, {len(self.table)}, "
                f"{self.crop[0]}, {self.crop[1]}) for the data's classes. Set model.network's number of classes."
            )

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, C, H, W)` for images `(N, 3, H, W)`, uint8 grey levels."""
        x = (image.float() - self.mean) / self.std
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return logits

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the weighted cross entropy of a batch."""
        loss = F.cross_entropy(
            self(batch["image"]), batch["labels"].long(), self.class_weights.to(self.device), ignore_index=IGNORE
        )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Count a batch."""
        self.iou.update(self(batch["image"]).argmax(1), batch["labels"])

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU over the classes that the validation labels have."""
        self.log("val/miou", self.iou.compute().nanmean(), prog_bar=True)

    def on_validation_epoch_start(self) -> None:
        """Start counting anew; the counts of the last validation stay readable until then."""
        self.iou.reset()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW under a polynomial schedule, stepped after every batch."""
        optimizer = torch.optim.AdamW(self.network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, power=0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def card(self) -> dict[str, Any]:
        """Return the IoU by class of the last validation, as the network's card states it."""
        iou = self.iou.compute()
        present = {name: round(v, 4) for name, v in zip(self.table.names, iou.tolist(), strict=True) if v == v}
        return {"val/miou": round(float(iou.nanmean()), 4), "val/iou": present}


def class_weights(pixels: Tensor) -> Tensor:
    """Return (C,) weights 1 / ln(1.1 + share of the class) for pixel counts (C,).

    The bounded weighting of ENet (Paszke et al., 2016, sec. 5), with ESPNet's constant 1.1.
    """
    return 1 / torch.log(1.1 + pixels / pixels.sum())
