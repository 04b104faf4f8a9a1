"""What counts as success: pure counts first, then torchmetrics that sum them over batches and ranks.

Every rate is a quotient of counts summed over the data set; the counts of each image are kept beside it.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor
from torchmetrics import Metric

from uap.utils.class_tables import IGNORE

SIZES = ("small", "medium", "large")
"""The sizes of objects, by their area."""

SIZE_BOUNDS = (32**2, 96**2)
"""The pixels from which on an object is medium and large, as COCO has them (pycocotools, cocoeval.py, `areaRng`)."""


def success_counts(predicted: Tensor, target: Tensor) -> Tensor:
    """Count the pixels that became the static target (Metzen et al., sec. 4).

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        target: (N, H, W) class ids, 255 = ignored.

    Returns:
        (N, 2) int64: pixels that are the target's class, pixels that count.

    Example:
        >>> success_counts(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 255]]])).tolist()
        [[1, 2]]
    """
    return _counts(predicted == target, target != IGNORE)


def hidden_counts(predicted: Tensor, hidden: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Count the pixels of the hidden classes that got another class (Metzen et al., sec. 4).

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        hidden: (N, H, W) bool, pixels predicted as the hidden classes on the clean images.
        classes: the hidden class ids.

    Returns:
        (N, 2) int64: pixels of other classes, pixels that count.

    Example:
        >>> hidden_counts(torch.tensor([[[0, 2, 1]]]), torch.tensor([[[False, True, True]]]), (2,)).tolist()
        [[1, 2]]
    """
    return _counts(left_classes(predicted, classes), hidden)


def preserved_counts(predicted: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Count the background pixels that kept the clean prediction (Metzen et al., sec. 4).

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        target: (N, H, W) the dynamic target, which is the clean prediction on the background.
        hidden: (N, H, W) bool, as in `hidden_counts`.

    Returns:
        (N, 2) int64: pixels that kept their class, pixels that count.

    Example:
        >>> hidden = torch.tensor([[[False, False, True]]])
        >>> preserved_counts(torch.tensor([[[0, 1, 0]]]), torch.tensor([[[0, 0, 0]]]), hidden).tolist()
        [[1, 2]]
    """
    return _counts(predicted == target, ~hidden & (target != IGNORE))


def remaining_counts(predicted: Tensor, hidden: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Count the pixels predicted as the hidden classes, wherever they are, after the attack and before it.

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        hidden: (N, H, W) bool, as in `hidden_counts`.
        classes: the hidden class ids.

    Returns:
        (N, 2) int64: pixels after, pixels before; there can be more of the first.

    Example:
        >>> remaining_counts(torch.tensor([[[2, 2, 1]]]), torch.tensor([[[False, False, True]]]), (2,)).tolist()
        [[2, 1]]
    """
    return torch.stack([(~left_classes(predicted, classes)).flatten(1).sum(1), hidden.flatten(1).sum(1)], dim=1)


COUNTS: dict[str, Callable[[Tensor, Mapping[str, Any], tuple[int, ...]], Tensor]] = {
    "success_rate": lambda predicted, batch, classes: success_counts(predicted, batch["target"]),
    "hidden": lambda predicted, batch, classes: hidden_counts(predicted, batch["hidden"], classes),
    "preserved": lambda predicted, batch, classes: preserved_counts(predicted, batch["target"], batch["hidden"]),
    "kept": lambda predicted, batch, classes: success_counts(predicted, batch["prediction"]),
    "remaining": lambda predicted, batch, classes: remaining_counts(predicted, batch["hidden"], classes),
}
"""How a metric of `uap.metrics.names` counts predictions (N, H, W), for a `Batch` and the hidden class ids."""


def left_classes(predicted: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Return bool (N, H, W), True where class ids (N, H, W) are none of `classes`.

    Example:
        >>> left_classes(torch.tensor([[[0, 2, 1]]]), (1, 2)).tolist()
        [[[True, False, False]]]
    """
    return ~torch.isin(predicted, torch.tensor(classes, dtype=predicted.dtype, device=predicted.device))


def class_counts(ids: Tensor, hits: Tensor, classes: int) -> Tensor:
    """Count pixels and hits by class.

    Args:
        ids: (N, H, W) class ids; those that are not below `classes` count nowhere.
        hits: (N, H, W) bool.
        classes: number of classes.

    Returns:
        (classes, 2) int64: hits, pixels.

    Example:
        >>> class_counts(torch.tensor([[[0, 0, 1]]]), torch.tensor([[[True, False, True]]]), 2).tolist()
        [[1, 2], [1, 1]]
    """
    pairs = torch.bincount((2 * ids.long() + hits).flatten(), minlength=2 * classes)[: 2 * classes].view(classes, 2)
    return torch.stack([pairs[:, 1], pairs.sum(1)], dim=1)


def size_counts(predicted: Tensor, hidden: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Count hidden objects and their pixels by the objects' size.

    An object is a connected component of the hidden pixels, corners included.

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        hidden: (N, H, W) bool, as in `hidden_counts`.
        classes: the hidden class ids.

    Returns:
        (3, 3) int64 on the CPU, a row for each of `SIZES`: objects, pixels, pixels of other classes.

    Example:
        >>> hidden = torch.tensor([[[True, True, False, True]]])  # two objects of 2 pixels and 1 pixel
        >>> size_counts(torch.tensor([[[2, 0, 0, 0]]]), hidden, (2,)).tolist()
        [[2, 3, 2], [0, 0, 0], [0, 0, 0]]
    """
    counts = np.zeros((len(SIZES), 3), np.int64)
    left = left_classes(predicted, classes).cpu().numpy()
    for image, mask in enumerate(hidden.cpu().numpy()):
        components, found = label(mask, np.ones((3, 3)))
        areas = np.bincount(components.ravel(), minlength=found + 1)[1:]
        hits = np.bincount(components[left[image]], minlength=found + 1)[1:]
        np.add.at(counts, np.digitize(areas, SIZE_BOUNDS), np.stack([np.ones_like(areas), areas, hits], axis=1))
    return torch.from_numpy(counts)


def distribution(counts: Tensor, *, higher_is_better: bool = True) -> dict[str, float | list[float]]:
    """Summarize a rate over images; an image without counted pixels is left out.

    Args:
        counts: (images, 2) int64: hits, pixels.
        higher_is_better: whether the attack succeeds least where the rate is lowest, or where it is highest.

    Returns:
        `worst_decile`, the mean share of the tenth of the images (rounded down, at least one) on which the attack
        succeeds least, and `deciles`, the 11 shares from the lowest over each 10 % to the highest. Nothing where there
        is no image.

    Example:
        >>> distribution(torch.tensor([[1, 4], [3, 4], [0, 0]]))["worst_decile"]
        0.25
    """
    counts = counts[counts[:, 1] > 0].double()
    if not len(counts):
        return {}
    shares = (counts[:, 0] / counts[:, 1]).sort().values
    deciles = shares.quantile(torch.linspace(0, 1, 11, dtype=torch.float64))
    tenth = max(1, len(shares) // 10)
    worst = shares[:tenth] if higher_is_better else shares[-tenth:]
    return {
        "worst_decile": round(float(worst.mean()), 6),
        "deciles": [round(share, 6) for share in deciles.tolist()],
    }


def _counts(hits: Tensor, counted: Tensor) -> Tensor:
    return torch.stack([(hits & counted).flatten(1).sum(1), counted.flatten(1).sum(1)], dim=1)


def confusion_counts(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count pixels by (label, prediction).

    Args:
        predicted: (N, H, W) class ids below `classes`.
        labels: (N, H, W) class ids; those that are not below `classes` are ignored.
        classes: number of classes.

    Returns:
        (classes, classes) int64.

    Example:
        >>> confusion_counts(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 255]]]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    counted = labels < classes
    pairs = labels[counted].long() * classes + predicted[counted].long()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def iou_per_class(confusion: Tensor) -> Tensor:
    """Return (C,) float64 intersection over union by class; NaN where neither labels nor predictions have the class.

    Example:
        >>> iou_per_class(torch.tensor([[1, 1], [0, 2]])).mul(1000).round().tolist()
        [500.0, 667.0]
    """
    hits = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hits
    return hits.cpu().double() / union.cpu()  # 0 / 0 is NaN; not every device has float64


@contextmanager
def maybe_of_nothing() -> Iterator[None]:
    """Let metrics be computed that no image was added to: a rank may get none, and a validation may be off.

    Example:
        >>> with maybe_of_nothing():
        ...     print(PixelRate().compute())
        tensor(nan, dtype=torch.float64)
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``compute`` method of metric .* was called before the ``update``")
        yield


class PixelRate(Metric):
    """A quotient of pixel counts, hits over pixels, of a data set, with the counts of each image.

    Where the hits are not among the pixels, it can exceed 1.

    Example:
        >>> rate = PixelRate()
        >>> rate.update(torch.tensor([[1, 4], [3, 4]]), index=torch.tensor([0, 1]))
        >>> rate.compute().item(), rate.per_image().tolist()
        (0.5, [[0, 1, 4], [1, 3, 4]])
    """

    full_state_update = False
    hits: Tensor
    pixels: Tensor

    def __init__(self) -> None:
        """Start at no pixels."""
        super().__init__()
        self.add_state("hits", torch.tensor(0, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("pixels", torch.tensor(0, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", [], dist_reduce_fx="cat")
        self.images: list[Tensor]

    def update(self, counts: Tensor, index: Tensor) -> None:
        """Add the counts (N, 2) of the images with the indices (N,)."""
        self.hits += counts[:, 0].sum()
        self.pixels += counts[:, 1].sum()
        self.images.append(torch.cat([index[:, None].to(counts), counts], dim=1))

    def compute(self) -> Tensor:
        """Return the rate; NaN without pixels."""
        rate = self.hits.cpu().double() / self.pixels.cpu()
        return rate.masked_fill(self.pixels.cpu() == 0, torch.nan)  # hits over no pixel would be infinite

    def per_image(self) -> Tensor:
        """Return (images, 3) int64 of all ranks, by index: index, hits, pixels. Every rank must call it."""
        with self.sync_context():
            images = self.images if isinstance(self.images, list) else [self.images]
            rows = torch.cat([torch.zeros(0, 3, dtype=torch.int64), *(counts.cpu() for counts in images)])
        return rows[rows[:, 0].argsort()]


class CountTable(Metric):
    """A table of counts, summed over a data set.

    Example:
        >>> table = CountTable(1, 2)
        >>> for _ in range(3):
        ...     table.update(torch.tensor([[1, 2]]))
        >>> table.compute().tolist()
        [[3, 6]]
    """

    full_state_update = False
    table: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        """Start at zero."""
        super().__init__()
        self.add_state("table", torch.zeros(rows, columns, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, counts: Tensor) -> None:
        """Add counts (rows, columns)."""
        self.table += counts.to(self.table.device)

    def compute(self) -> Tensor:
        """Return the sums (rows, columns) int64, on the CPU."""
        return self.table.cpu()


class ClassIoU(Metric):
    """Intersection over union with the labels of a data set, by class.

    Example:
        >>> iou = ClassIoU(2)
        >>> iou.update(torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 1]]]))
        >>> iou.compute().mul(1000).round().tolist()
        [500.0, 667.0]
    """

    full_state_update = False
    confusion: Tensor

    def __init__(self, classes: int) -> None:
        """Count `classes` classes."""
        super().__init__()
        self.classes = classes
        self.add_state("confusion", torch.zeros(classes, classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add predictions (N, H, W) and labels (N, H, W); labels beyond the classes are ignored."""
        self.confusion += confusion_counts(predicted, labels, self.classes)

    def compute(self) -> Tensor:
        """Return (C,) IoU by class, NaN for a class that has no labeled pixel."""
        iou = iou_per_class(self.confusion)
        return iou.masked_fill(self.confusion.sum(1).cpu() == 0, torch.nan)

    def total(self) -> Tensor:
        """Return (C, C) int64, the pixels of all ranks by (label, prediction). Every rank must call it."""
        with self.sync_context():
            return self.confusion.cpu()
