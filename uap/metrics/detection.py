"""Mean average precision of detections."""

from collections.abc import Sequence

import torch
from torch import Tensor

from uap.utils.detections import Detections
from uap.utils.errors import InputError


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU `(A, B)` of boxes `(A, 4)` with boxes `(B, 4)`, as left, top, right and bottom edge.

    Example:
        >>> box_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]])).round(decimals=3)
        tensor([[0.3330]])
    """
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1] - shared)


def average_precisions(
    found: Sequence[Detections], truth: Sequence[Detections], threshold: float = 0.5
) -> dict[int, float]:
    """Return the average precision of each class that has an object in any image.

    It is the area under the curve of precision over recall, after each precision was replaced by the largest one at
    that recall or a higher one: the definition of Pascal VOC since 2010 (Everingham et al., IJCV 2015, sec. 4.2.1), not
    the mean at 11 recalls of VOC 2007. Detections of a class are sorted by their scores over all images. A detection is
    right if the object of its class that it overlaps most has an IoU of at least the threshold with it, and no
    detection of a higher score found that object.

    Args:
        found: the detections of each image.
        truth: the objects of each image, in the same order.
        threshold: the smallest IoU.

    Raises:
        InputError: there are no objects, or the numbers of images differ.

    Example:
        >>> box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
        >>> average_precisions([Detections(box, torch.tensor([1]))], [Detections(box, torch.tensor([1]))])
        {1: 1.0}
    """
    if len(found) != len(truth):
        raise InputError(
            f"There are detections of {len(found)} images and objects of {len(truth)}, expected the same.",
            kind="wrong_shape",
        )
    classes = sorted({int(name) for objects in truth for name in objects.classes})
    if not classes:
        raise InputError(
            f"The {len(truth)} images contain no object of the classes of the network. Use other images, or a network "
            "with the classes that they show.",
            setting="data",
            kind="not_supported",
        )
    return {name: _average_precision(found, truth, name, threshold) for name in classes}


def mean_average_precision(found: Sequence[Detections], truth: Sequence[Detections], threshold: float = 0.5) -> float:
    """Return the mean of `average_precisions` over the classes, which has the same arguments and errors.

    Example:
        >>> box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
        >>> one, two = (Detections(box, torch.tensor([name])) for name in (1, 2))
        >>> mean_average_precision([one, one], [one, two])  # class 1 is also found where there is class 2
        0.5
    """
    values = average_precisions(found, truth, threshold).values()
    return sum(values) / len(values)


def _average_precision(found: Sequence[Detections], truth: Sequence[Detections], name: int, threshold: float) -> float:
    right, scores, objects = [], [], 0
    for detections, known in zip(found, truth, strict=True):
        own = detections.scores[detections.classes == name].argsort(descending=True, stable=True)
        boxes = detections.boxes[detections.classes == name][own]
        targets = known.boxes[known.classes == name]
        right.append(_matches(boxes, targets, threshold))
        scores.append(detections.scores[detections.classes == name][own])
        objects += len(targets)
    order = torch.cat(scores).argsort(descending=True, stable=True)
    is_right = torch.cat(right)[order].double()
    hits = is_right.cumsum(0)
    precision = hits / torch.arange(1, len(hits) + 1)
    best = precision.flip(0).cummax(0).values.flip(0) if len(precision) else precision
    return float((best * is_right).sum() / objects)  # recall rises by one object at each right detection


def _matches(boxes: Tensor, targets: Tensor, threshold: float) -> Tensor:
    """Return bool `(K,)`, the right ones of boxes `(K, 4)` of falling scores, for objects `(J, 4)`."""
    right = torch.zeros(len(boxes), dtype=torch.bool)
    if not len(targets) or not len(boxes):
        return right
    overlap, nearest = box_iou(boxes, targets).max(1)
    taken: set[int] = set()
    for row, (iou, target) in enumerate(zip(overlap.tolist(), nearest.tolist(), strict=True)):
        right[row] = iou >= threshold and target not in taken
        taken |= {target} if right[row] else set()
    return right
