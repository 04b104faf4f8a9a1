"""The clean metrics of a network on a split: IoU by class, without an attack."""

import numpy as np
import torch

from uap.data import SegmentationData
from uap.evaluation.experiment import device_trainer
from uap.metrics.iou import ClassIoU
from uap.utils.errors import InputError
from uap.utils.progress import progress
from uap.utils.text_tables import markdown
from uap.victims import Victim
from uap.victims.setup_warnings import setup_warnings


def clean_table(victim: Victim, data: SegmentationData) -> str:
    """Return a text table of the clean metrics of a network on the scored images, followed by warnings.

    Args:
        victim: the network.
        data: images and labels.

    Raises:
        InputError: the network does not support the size, or the images have no labels of its classes.
    """
    device = device_trainer().strategy.root_device
    victim.to(device).check(data.size)
    data.prepare_data()
    data.setup("validate")
    translation = torch.from_numpy(data.table.translation(victim.table)).to(device)
    iou, confidences = ClassIoU(len(victim.table)).to(device), []
    for batch in progress(data.loader("scored", shuffle=False), f"Predicting {data.split}", "batch"):
        with torch.no_grad():
            logits = victim(batch["image"].to(device).float())
        iou.update(logits.argmax(1), translation[batch["labels"].to(device).long()])
        confidences += logits.softmax(1).amax(1).mean((1, 2)).tolist()
    if not iou.total().any():
        raise InputError(
            f"The {len(data.datasets['scored'])} images in {data.root} have no labels of the network's classes "
            f"({', '.join(victim.table.names)}). Set --data.root and --data.split to labeled images.",
            setting="data.root",
            kind="unusable_file",
        )
    return _table(victim, data, iou, float(np.mean(confidences)))


def _table(victim: Victim, data: SegmentationData, iou: ClassIoU, confidence: float) -> str:
    by_class, pixels = iou.compute().cpu(), iou.total().sum(1)
    rows = [
        [name, f"{100 * float(value):.1f} %", f"{100 * float(count / pixels.sum()):.1f} %"]
        for name, value, count in zip(victim.table.names, by_class, pixels, strict=True)
        if count
    ]
    mean, accuracy = float(by_class.nanmean()), float(iou.total().diag().sum() / iou.total().sum())
    lines = [
        markdown(["class", "IoU", "labeled pixels"], rows),
        f"mean IoU {100 * mean:.1f} %, pixel accuracy {100 * accuracy:.1f} %, mean confidence {confidence:.2f}",
        f"{type(victim.network).__name__} on {len(data.datasets['scored'])} images of {type(data).__name__}, "
        f"{data.split}, {data.size[0]} x {data.size[1]}",
    ]
    return "\n".join([*lines, *(f"warning: {text}" for text in setup_warnings(confidence, len(victim.table), mean))])
