"""Counts of locations for each image, from which the metrics are computed."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor

from uap.utils.class_tables import IGNORE

SIZES = ("small", "medium", "large")
"""The sizes of objects, by their area."""

SIZE_BOUNDS = (32**2, 96**2)
"""The smallest areas of medium and of large objects in pixels, as in COCO (pycocotools, cocoeval.py, `areaRng`)."""


def success_counts(predicted: Tensor, target: Tensor) -> Tensor:
    """Count the pixels that became the static target (Metzen et al., sec. 4).

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        target: (N, H, W) class ids, 255 = ignored.

    Returns:
        (N, 2) int64: pixels of the target's class, pixels that count.

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
    """Count the pixels predicted as the hidden classes, anywhere in the image, after and before the attack.

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        hidden: (N, H, W) bool, as in `hidden_counts`.
        classes: the hidden class ids.

    Returns:
        (N, 2) int64: pixels after, pixels before; the first number can be larger.

    Example:
        >>> remaining_counts(torch.tensor([[[2, 2, 1]]]), torch.tensor([[[False, False, True]]]), (2,)).tolist()
        [[2, 1]]
    """
    return torch.stack([(~left_classes(predicted, classes)).flatten(1).sum(1), hidden.flatten(1).sum(1)], dim=1)


def region_counts(predicted: Tensor, labels: Tensor, region: Tensor) -> Tensor:
    """Count the pixels of a region that are predicted as given labels.

    Args:
        predicted: (N, H, W) class ids on the adversarial images.
        labels: (N, H, W) class ids.
        region: (N, H, W) bool.

    Returns:
        (N, 2) int64: pixels predicted as their label, pixels of the region.

    Example:
        >>> region = torch.tensor([[[False, True, True]]])
        >>> region_counts(torch.tensor([[[0, 1, 2]]]), torch.tensor([[[0, 1, 1]]]), region).tolist()
        [[1, 2]]
    """
    return _counts(predicted == labels, region)


COUNTS: dict[str, Callable[[Tensor, Mapping[str, Any], tuple[int, ...]], Tensor]] = {
    "success_rate": lambda predicted, batch, classes: success_counts(predicted, batch["target"]),
    "success_before": lambda predicted, batch, classes: success_counts(batch["prediction"], batch["target"]),
    "hidden": lambda predicted, batch, classes: hidden_counts(predicted, batch["hidden"], classes),
    "preserved": lambda predicted, batch, classes: preserved_counts(predicted, batch["target"], batch["hidden"]),
    "swapped": lambda predicted, batch, classes: region_counts(predicted, batch["target"], batch["hidden"]),
    "source_kept": lambda predicted, batch, classes: region_counts(predicted, batch["prediction"], batch["hidden"]),
    "kept": lambda predicted, batch, classes: success_counts(predicted, batch["prediction"]),
    "remaining": lambda predicted, batch, classes: remaining_counts(predicted, batch["hidden"], classes),
}
"""The functions that count hits and locations for metrics of `uap.metrics.names`, by name.

Their arguments are the predictions `(N, *L)` on adversarial images, a mapping, and the ids of the hidden classes. The
mapping has `prediction` `(N, *L)` on the clean images, `target` `(N, *L)` with 255 = ignored, and `hidden` `(N, *L)`
bool if the objective hides classes. Each function returns `(N, 2)` int64."""


def left_classes(predicted: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Return bool `(N, H, W)`, True for the pixels whose class ids are not in `classes`.

    Example:
        >>> left_classes(torch.tensor([[[0, 2, 1]]]), (1, 2)).tolist()
        [[[True, False, False]]]
    """
    return ~torch.isin(predicted, torch.tensor(classes, dtype=predicted.dtype, device=predicted.device))


def class_counts(ids: Tensor, hits: Tensor, classes: int) -> Tensor:
    """Count pixels and hits by class.

    Args:
        ids: (N, H, W) class ids; ids of `classes` or more are ignored.
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


def _counts(hits: Tensor, counted: Tensor) -> Tensor:
    return torch.stack([(hits & counted).flatten(1).sum(1), counted.flatten(1).sum(1)], dim=1)
