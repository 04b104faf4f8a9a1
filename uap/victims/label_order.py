"""Labels that fit the predictions once their ids are read as others: the network is right, the labels are not."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from uap.utils.class_tables import CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE, LabelTable

EXPLAINED = 0.5
"""The mean share of a class's pixels above which other ids explain the labels; a network that always predicts one class
does not reach it."""


def other_ids(confusion: Tensor, table: LabelTable, labels: LabelTable) -> str | None:
    """Return a sentence if labels fit the predictions in another order of ids, None if not.

    Args:
        confusion: (C, C) counts of pixels by (label, prediction), as `ClassIoU.total` gives them.
        table: the network's classes.
        labels: the classes of the data's labels.
    """
    counts: NDArray[np.int64] = confusion.cpu().numpy()
    rows = np.flatnonzero(counts.sum(1))
    if len(rows) < 2:
        return None
    shares = counts[rows] / counts[rows].sum(1, keepdims=True)
    if labels is CITYSCAPES and _mean_share(shares, rows, _as_train_ids(table)) > EXPLAINED:
        return (
            "The labels fit the predictions as train ids: the label files hold train ids (0 to 18) and are read as "
            "Cityscapes' label ids (0 to 33). Name them *_gtFine_labelTrainIds.png, or use those with label ids."
        )
    best = dict(zip(*(found.tolist() for found in linear_sum_assignment(shares, maximize=True)), strict=True))
    permuted = {int(rows[row]): column for row, column in best.items()}
    if _mean_share(shares, rows, permuted) <= EXPLAINED:
        return None
    pairs = [
        f"{table.names[own]} is predicted as {table.names[other]}" for own, other in permuted.items() if own != other
    ]
    return (
        f"The labels fit the predictions in another order of the classes: what they call {', '.join(pairs[:3])}"
        f"{' ...' if len(pairs) > 3 else ''}. Check the order of victim.classes, and that the label files hold the ids "
        "of this data set."
    )


def _as_train_ids(table: LabelTable) -> dict[int, int]:
    """Return, for each class that a train id is taken for as a label id, the class that it is; ids of `table`."""
    ids = CITYSCAPES.translation(table)
    pairs = {
        int(ids[wrong]): int(ids[right]) for wrong, right in enumerate(CITYSCAPES_LABEL_IDS) if right < len(CITYSCAPES)
    }
    return {wrong: right for wrong, right in pairs.items() if IGNORE not in (wrong, right)}


def _mean_share(shares: NDArray[np.float64], rows: NDArray[np.int64], meant: dict[int, int]) -> float:
    """Return the mean over the labeled classes of the share of their pixels that are predicted as what is meant."""
    return float(np.mean([shares[i, meant[row]] if row in meant else 0.0 for i, row in enumerate(rows.tolist())]))
