"""The agreement of two predictions."""

from typing import Literal, get_args

import torch
from torch import Tensor

from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError

Over = Literal["union", "intersection"]
"""The classes of a mean: those that either prediction has, or those that both have."""


def mean_iou(one: Tensor, other: Tensor, over: Over = "union") -> Tensor:
    """Return the mean IoU of two predictions of each image, over the classes that they have.

    Args:
        one: `(N, *L)` class ids of any integer dtype.
        other: `(N, *L)` class ids; locations with 255 are ignored.
        over: `union` averages over the classes that either has, `intersection` over those that both have.

    Returns:
        `(N,)` float64; 1 where there is no class to average over.

    Raises:
        InputError: `over` is unknown.

    Example:
        >>> mean_iou(torch.tensor([[0, 0, 1]]), torch.tensor([[0, 1, 1]])).tolist()
        [0.5]
    """
    if over not in get_args(Over):
        raise InputError(
            f"over is {over!r}, expected one of {', '.join(get_args(Over))}.", setting="over", kind="unknown_name"
        )
    first, second = one.flatten(1).long(), other.flatten(1).long()
    valid = second != IGNORE
    classes = int(torch.maximum(first, second.masked_fill(~valid, 0)).max()) + 1
    counts = [_counts(ids, mask, classes) for ids, mask in ((first, valid), (second, valid))]
    both = _counts(first, valid & (first == second), classes)
    iou = both / (counts[0] + counts[1] - both).clamp(min=1)
    present = (counts[0] + counts[1] > 0) if over == "union" else (counts[0] > 0) & (counts[1] > 0)
    mean = (iou * present).sum(1) / present.sum(1).clamp(min=1)
    return mean.where(present.any(1), torch.ones_like(mean))


def _counts(ids: Tensor, mask: Tensor, classes: int) -> Tensor:
    """Return `(N, classes)` float64, how many locations of each row have each class."""
    images = len(ids)
    rows = torch.arange(images, device=ids.device)[:, None] * (classes + 1)
    flat = (rows + ids.masked_fill(~mask, classes)).flatten()
    return torch.bincount(flat, minlength=images * (classes + 1)).view(images, -1)[:, :classes].double()
