"""Training a victim on labeled scenes: the recipe of the networks that ship in `checkpoints/`."""

import math
import warnings
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from uap.data.batch import Batch
from uap.data.datamodule import data_of
from uap.data.length import total_steps
from uap.data.transforms import Augmentation
from uap.metrics.counts import ClassIoU
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError
from uap.victims.doubts import doubtful_scale
from uap.victims.outputs import padded_logits

COUNTED_IMAGES = 200
"""About so many of the training images, spread evenly, tell how frequent the classes are."""

CARD = "card"
"""The key under which a checkpoint keeps what the network's card will state of it."""


class VictimTraining(LightningModule):
    """Trains a network with weighted cross entropy, AdamW and a polynomial schedule.

    The network sees (image - mean) / std of RGB grey levels, as `Victim` with the same `mean` and `std` shows it.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, float, float] = (128.0, 128.0, 128.0),
        std: tuple[float, float, float] = (64.0, 64.0, 64.0),
        size_multiple: int = 1,
        crop: tuple[int, int] = (192, 384),
        zoom: tuple[float, float] = (0.9, 1.25),
        class_weights: Literal["log", "none"] | list[float] = "log",
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-4,
    ) -> None:
        """Describe the training.

        Args:
            network: normalized images `(N, 3, H, W)` to logits, one channel per class of the data or more; of several
                outputs the first is trained.
            mean: in grey levels.
            std: in grey levels.
            size_multiple: the network takes heights and widths that are multiples of it.
            crop: height and width of the augmented training crops.
            zoom: smallest and largest factor by which images are enlarged before they are cropped.
            class_weights: weights of the classes in the loss: `log` for 1 / ln(1.1 + share of the class), `none`, or
                one number per class.
            learning_rate: at the start; it falls to 0 by a power of 0.9.
            weight_decay: of AdamW.

        Raises:
            InputError: a number out of its range, which would end in a network that has learned nothing.
        """
        super().__init__()
        low, high = zoom
        given = class_weights if isinstance(class_weights, list) else [1.0]
        ranges = {
            "crop": (crop, min(crop) >= 1, "pixels of 1 or more"),
            "zoom": (zoom, 0 < low <= high < math.inf, "a factor above 0, and one that is no smaller"),
            "mean": (mean, all(map(math.isfinite, mean)), "grey levels"),
            "std": (std, all(0 < value < math.inf for value in std), "grey levels above 0"),
            "size_multiple": (size_multiple, size_multiple >= 1, "1 or more"),
            "class_weights": (class_weights, 0 < sum(given) < math.inf and min(given) >= 0, "0 or more, not all 0"),
            "learning_rate": (learning_rate, 0 < learning_rate < math.inf, "a step above 0"),
            "weight_decay": (weight_decay, 0 <= weight_decay < math.inf, "0 or more"),
        }
        for name, (value, is_right, expected) in ranges.items():
            if not is_right:
                raise InputError(f"model.{name} is {value}, expected {expected}.")
        for doubt in doubtful_scale(mean, std, "model"):
            warnings.warn(doubt, stacklevel=2)
        self.network = network.to(memory_format=torch.channels_last)
        self.size_multiple = size_multiple
        self.augmentation = Augmentation(crop, zoom)
        self.crop = crop
        self.weighting = class_weights
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
            InputError: nothing is labeled, or the network has not one output per class.
        """
        data = data_of(self.trainer)
        self.table = data.table
        self.iou = ClassIoU(len(self.table))
        pixels = torch.zeros(256, dtype=torch.int64)
        items = data.datasets["train"].items
        for item in items[:: max(1, len(items) // COUNTED_IMAGES)]:
            if item.labels is not None:
                pixels += torch.bincount(torch.from_numpy(data.read_labels(item.labels)).flatten(), minlength=256)
        outputs = self._outputs(pixels)
        self.class_weights = torch.ones(outputs)  # outputs beyond the table are never a label
        self.class_weights[: len(self.table)] = self._weights(pixels[: len(self.table)])
        data.datasets["train"].augment = self.augmentation

    @torch.no_grad()
    def _outputs(self, pixels: Tensor) -> int:
        if pixels[: len(self.table)].sum() == 0:
            raise InputError(
                "No training image has a labeled pixel. A network learns from labels: add them to the data."
            )
        self.network.eval()  # BatchNorm does not learn from grey
        shape = self(torch.full((1, 3, *self.crop), 128, dtype=torch.uint8)).shape
        self.network.train()
        if len(shape) != 4 or shape[1] < len(self.table):
            raise InputError(
                f"The network gives {tuple(shape)} for one image of {self.crop}, expected (1, {len(self.table)} or "
                f"more, {self.crop[0]}, {self.crop[1]}) for the data's classes. Set model.network's number of classes."
            )
        return int(shape[1])

    def _weights(self, pixels: Tensor) -> Tensor:
        if self.weighting == "log":
            return class_weights(pixels)
        weights = torch.ones(len(pixels)) if self.weighting == "none" else torch.tensor(self.weighting)
        if weights.shape != pixels.shape:
            raise InputError(
                f"model.class_weights are {len(weights)} numbers, expected {len(pixels)}, one for each of "
                f"{', '.join(self.table.names)}."
            )
        return weights

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, C, H, W)` float32 for images `(N, 3, H, W)`, uint8 grey levels."""
        return padded_logits(self.network, (image.float() - self.mean) / self.std, self.size_multiple).float()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the weighted cross entropy of a batch."""
        loss = F.cross_entropy(
            self(batch["image"]), batch["labels"].long(), self.class_weights.to(self.device), ignore_index=IGNORE
        )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Count a batch."""
        self.iou.update(self(batch["image"])[:, : len(self.table)].argmax(1), batch["labels"])

    def on_validation_epoch_end(self) -> None:
        """Log the IoU of each class that the validation labels have, and their mean."""
        iou = self.iou.compute()
        self.log_dict({f"iou/{name}": v for name, v in zip(self.table.names, iou, strict=True) if not v.isnan()})
        self.log("val/miou", iou.nanmean(), prog_bar=True)

    def on_validation_epoch_start(self) -> None:
        """Start counting anew; the counts of the last validation stay readable until then."""
        self.iou.reset()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW under a polynomial schedule, stepped after every batch."""
        optimizer = torch.optim.AdamW(self.network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_steps(self.trainer), power=0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep with the weights what was measured of them."""
        checkpoint[CARD] = self.card()

    def card(self) -> dict[str, Any]:
        """Return the epochs so far and the IoU by class of the last validation, as the network's card states them."""
        iou = self.iou.compute()
        present = {name: round(v, 4) for name, v in zip(self.table.names, iou.tolist(), strict=True) if v == v}
        epochs = self.trainer.current_epoch + 1
        return {"epochs": epochs, "val/miou": round(float(iou.nanmean()), 4), "val/iou": present}


def class_weights(pixels: Tensor) -> Tensor:
    """Return (C,) weights 1 / ln(1.1 + share of the class) for pixel counts (C,).

    The bounded weighting of ENet (Paszke et al., 2016, sec. 5), with ESPNet's constant 1.1.
    """
    return 1 / torch.log(1.1 + pixels / pixels.sum())
