"""Supervised training of a victim, with the recipe of the networks in `checkpoints/`."""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from uap.data.augmentation import Augmentation
from uap.data.batch import Batch
from uap.data.datamodule import data_of
from uap.data.length import total_steps
from uap.metrics.iou import ClassIoU
from uap.utils import paths
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError, in_setting
from uap.victims.outputs import padded_logits
from uap.victims.setup_warnings import check_scale
from uap.victims.weights import load_weights

COUNTED_IMAGES = 200
"""Approximate number of training images, evenly spread, that are used to count the classes."""

CARD = "card"
"""The key of a checkpoint for the content of the model card."""


class VictimTraining(LightningModule):
    """Trains a segmentation network with weighted cross entropy, AdamW and a polynomial schedule.

    The input of the network is (image - mean) / std of RGB grey levels, as in `Victim` with the same `mean` and `std`.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | None = None,
        mean: tuple[float, float, float] = (128.0, 128.0, 128.0),
        std: tuple[float, float, float] = (64.0, 64.0, 64.0),
        size_multiple: int = 1,
        crop: tuple[int, int] = (192, 384),
        zoom: tuple[float, float] = (0.9, 1.25),
        class_weights: Literal["log", "none"] | list[float] = "log",
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-4,
    ) -> None:
        """Store and check the settings.

        Args:
            network: maps normalized images `(N, 3, H, W)` to logits, with one channel per class of the data or more.
                If it has several outputs, the first one is trained.
            weights: a `.safetensors` or `.pth` file to start from; layers that it lacks keep their initial weights, so
                that a network can be trained behind one that is trained already. None for initial weights alone.
            mean: mean of each channel, in grey levels.
            std: standard deviation of each channel, in grey levels.
            size_multiple: height and width of the input of the network must be multiples of this number.
            crop: height and width of the augmented training crops, in pixels.
            zoom: smallest and largest factor by which images are enlarged before cropping.
            class_weights: weights of the classes in the loss: `log` for 1 / ln(1.1 + share of the class), `none`, or
                one number per class.
            learning_rate: initial learning rate; it decreases to 0 by a polynomial of degree 0.9.
            weight_decay: weight decay of AdamW.

        Raises:
            InputError: a setting is out of range, or the weights are those of another network.
        """
        super().__init__()
        low, high = zoom
        given = class_weights if isinstance(class_weights, list) else [1.0]
        ranges = {
            "crop": (crop, min(crop) >= 1, "pixels of 1 or more"),
            "zoom": (zoom, 0 < low <= high < math.inf, "a factor above 0 and a factor of at least that"),
            "mean": (mean, all(map(math.isfinite, mean)), "grey levels"),
            "std": (std, all(0 < value < math.inf for value in std), "grey levels above 0"),
            "size_multiple": (size_multiple, size_multiple >= 1, "1 or more"),
            "class_weights": (class_weights, 0 < sum(given) < math.inf and min(given) >= 0, "0 or more, not all 0"),
            "learning_rate": (learning_rate, 0 < learning_rate < math.inf, "a number above 0"),
            "weight_decay": (weight_decay, 0 <= weight_decay < math.inf, "0 or more"),
        }
        for name, (value, is_valid, expected) in ranges.items():
            if not is_valid:
                raise InputError(
                    f"model.{name} is {value}, expected {expected}.", setting=f"model.{name}", kind="out_of_range"
                )
        check_scale(mean, std, "model", "model")
        if weights is not None:
            with in_setting("model.weights"):
                load_weights(network, paths.find(weights), may_lack=True)
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
        """Count the pixels of each class, compute the class weights, and switch the augmentation on.

        Raises:
            InputError: no training image has labels, or the network has fewer outputs than the data has classes.
        """
        data = data_of(self.trainer)
        self.table = data.table
        self.iou = ClassIoU(len(self.table))
        pixels = torch.zeros(256, dtype=torch.int64)
        images = data.datasets["train"].images
        for item in images.items[:: max(1, len(images) // COUNTED_IMAGES)]:
            if item.labels is not None:
                pixels += torch.bincount(torch.from_numpy(images.read_labels(item.labels)).flatten(), minlength=256)
        outputs = self._outputs(pixels)
        self.class_weights = torch.ones(outputs)  # no label has a class beyond the table
        self.class_weights[: len(self.table)] = self._weights(pixels[: len(self.table)])
        data.augment(self.augmentation)

    @torch.no_grad()
    def _outputs(self, pixels: Tensor) -> int:
        if pixels[: len(self.table)].sum() == 0:
            raise InputError(
                "No training image has a labeled pixel. Add labels to the data; the training needs them.",
                kind="unusable_file",
            )
        self.network.eval()  # a grey image must not change the statistics of BatchNorm
        shape = self(torch.full((1, 3, *self.crop), 128, dtype=torch.uint8)).shape
        self.network.train()
        if len(shape) != 4 or shape[1] < len(self.table):
            raise InputError(
                f"The network gives {tuple(shape)} for one image of {self.crop}, expected (1, {len(self.table)} or "
                f"more, {self.crop[0]}, {self.crop[1]}) for the data's classes. Set model.network's number of classes.",
                setting="model.network",
                kind="wrong_shape",
            )
        return int(shape[1])

    def _weights(self, pixels: Tensor) -> Tensor:
        if self.weighting == "log":
            return class_weights(pixels)
        weights = torch.ones(len(pixels)) if self.weighting == "none" else torch.tensor(self.weighting)
        if weights.shape != pixels.shape:
            raise InputError(
                f"model.class_weights are {len(weights)} numbers, expected {len(pixels)}, one for each of "
                f"{', '.join(self.table.names)}.",
                setting="model.class_weights",
                kind="wrong_shape",
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
        """Add a batch to the IoU."""
        self.iou.update(self(batch["image"])[:, : len(self.table)].argmax(1), batch["labels"])

    def on_validation_epoch_end(self) -> None:
        """Log the IoU of each class in the validation labels, and their mean."""
        iou = self.iou.compute()
        self.log_dict({f"iou/{name}": v for name, v in zip(self.table.names, iou, strict=True) if not v.isnan()})
        self.log("val/miou", iou.nanmean(), prog_bar=True)

    def on_validation_epoch_start(self) -> None:
        """Reset the IoU. Until then, the result of the last validation stays available."""
        self.iou.reset()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW with a polynomial schedule that is stepped after every batch."""
        optimizer = torch.optim.AdamW(self.network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_steps(self.trainer), power=0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the content of the model card with the weights."""
        checkpoint[CARD] = self.card()

    def card(self) -> dict[str, Any]:
        """Return the content of the model card: number of epochs, and IoU per class and mIoU of the last validation."""
        iou = self.iou.compute()
        present = {name: round(v, 4) for name, v in zip(self.table.names, iou.tolist(), strict=True) if v == v}
        epochs = self.trainer.current_epoch + 1
        return {"epochs": epochs, "val/miou": round(float(iou.nanmean()), 4), "val/iou": present}


def class_weights(pixels: Tensor) -> Tensor:
    """Return weights `(C,)` of 1 / ln(1.1 + share of the class) for pixel counts `(C,)`.

    This is the class weighting of ENet (Paszke et al., arXiv 1606.02147, sec. 5) with the constant 1.1 of ESPNet.
    """
    return 1 / torch.log(1.1 + pixels / pixels.sum())
