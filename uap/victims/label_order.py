"""Detection of labels with a wrong order of class ids: with other ids, they agree with the predictions."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from uap.utils.class_tables import CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE, LabelTable

EXPLAINED = 0.5
"""Smallest mean recall with which another order of ids is accepted as the explanation. A network that always predicts
one class does not reach it."""


def other_ids(confusion: Tensor, table: LabelTable, labels: LabelTable) -> str | None:
    """Return a message if the labels agree with the predictions for another order of ids, or None.

    Args:
        confusion: `(C, C)` pixel counts by (label, prediction), as `ClassIoU.total` returns them.
        table: classes of the network.
        labels: classes of the labels of the data set.
    """
    counts: NDArray[np.int64] = confusion.cpu().numpy()
    rows = np.flatnonzero(counts.sum(1))
    if len(rows) < 2:
        return None
    shares = counts[rows] / counts[rows].sum(1, keepdims=True)
    if labels is CITYSCAPES and _mean_share(shares, rows, _as_train_ids(table)) > EXPLAINED:
        return (
            "The labels agree with the predictions as train ids: the label files contain train ids (0 to 18), but they "
            "are read as label ids (0 to 33). Name them *_gtFine_labelTrainIds.png, or use files with label ids."
        )
    best = dict(zip(*(found.tolist() for found in linear_sum_assignment(shares, maximize=True)), strict=True))
    permuted = {int(rows[row]): column for row, column in best.items()}
    if _mean_share(shares, rows, permuted) <= EXPLAINED:
        return None
    pairs = [
        f"{table.names[own]} is predicted as {table.names[other]}" for own, other in permuted.items() if own != other
    ]
    return (
        f"The labels agree with the predictions in another order of the classes: {', '.join(pairs[:3])}"
        f"{' ...' if len(pairs) > 3 else ''}. Check the order of victim.classes, and that the label files contain the "
        "ids of this data set."
    )


def _as_train_ids(table: LabelTable) -> dict[int, int]:
    """Return the mapping from the class of each id read as a label id to its class as a train id; ids of `table`."""
    ids = CITYSCAPES.translation(table)
    pairs = {
        int(ids[wrong]): int(ids[right]) for wrong, right in enumerate(CITYSCAPES_LABEL_IDS) if right < len(CITYSCAPES)
    }
    return {wrong: right for wrong, right in pairs.items() if IGNORE not in (wrong, right)}


def _mean_share(shares: NDArray[np.float64], rows: NDArray[np.int64], mapping: dict[int, int]) -> float:
    """Return the mean, over the labeled classes, of the share of pixels that are predicted as the mapped class."""
    return float(np.mean([shares[i, mapping[row]] if row in mapping else 0.0 for i, row in enumerate(rows.tolist())]))
