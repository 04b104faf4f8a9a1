"""Intersection over union with labels, by class."""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from uap.utils.class_tables import IGNORE


class ClassIoU(MulticlassConfusionMatrix):
    """Intersection over union with the labels of a data set, by class.

    The counts are those of torchmetrics' confusion matrix.

    Example:
        >>> iou = ClassIoU(2)
        >>> iou.update(torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 1]]]))
        >>> iou.compute().mul(1000).round().tolist()
        [500.0, 667.0]
    """

    def __init__(self, classes: int) -> None:
        """Start without pixels; `classes` is the number of classes."""
        super().__init__(classes, ignore_index=IGNORE, validate_args=False)
        self.classes = classes

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add predictions `(N, *L)` and labels `(N, *L)`; labels of `classes` or more are ignored."""
        super().update(predicted.long(), labels.long().masked_fill(labels >= self.classes, IGNORE))

    def compute(self) -> Tensor:
        """Return `(C,)` float64, the IoU of each class, NaN for classes without labels."""
        confusion = self.confmat.cpu().double()  # not every device has float64
        hits, labeled = confusion.diagonal(), confusion.sum(1)
        iou = hits / (confusion.sum(0) + labeled - hits)
        return iou.masked_fill(labeled == 0, torch.nan)

    def total(self) -> Tensor:
        """Return `(C, C)` int64, the pixel counts of all ranks by (label, prediction). Every rank must call it."""
        with self.sync_context():
            return self.confmat.cpu()
