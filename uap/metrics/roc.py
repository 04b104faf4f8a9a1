"""ROC curves of detectors: how well scores tell benign from attacked images, without a choice of threshold.

The scores of `uap.detectors` are low for suspicious images.
"""

import math
from statistics import NormalDist

import torch
from torch import Tensor

from uap.utils.errors import InputError
from uap.utils.numbers import check_number


def auc(benign: Tensor, attacked: Tensor) -> float:
    """Return the area under the ROC curve: the share of pairs whose attacked image has the lower score.

    It is the statistic of Mann and Whitney; ties count one half.

    Args:
        benign: scores `(n,)` of benign images.
        attacked: scores `(m,)` of attacked images.

    Raises:
        InputError: one of the two is empty, or a score is not finite.

    Example:
        >>> auc(torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.8]))
        0.875
    """
    _check(benign, attacked)
    difference = benign.double()[:, None] - attacked.double()[None, :]
    return float(((difference > 0).double() + 0.5 * (difference == 0)).mean())


def two_sided(area: float) -> float:
    """Return the area for a detector that may call unusually high scores suspicious: max(AUC, 1 - AUC).

    An adaptive attack can make attacked images more consistent than benign ones, with an AUC near 0.

    Example:
        >>> two_sided(0.25)
        0.75
    """
    return max(area, 1 - area)


def auc_interval(benign: Tensor, attacked: Tensor, level: float = 0.95) -> tuple[float, float]:
    """Return a confidence interval of the AUC by method 5 of Newcombe.

    Its limits are the areas that differ from the AUC by `z` of their own standard errors, as those of Wilson's interval
    of a share. So it has a width with any number of images, also if every attacked image has a lower score than every
    benign one. The standard error is that of Hanley and McNeil (Radiology 143, 1982), with the mean of both numbers of
    images. Reference: Newcombe, Statistics in Medicine 25:559-573, 2006.

    The formula is that of independent images. If benign and attacked images are versions of the same ones, whose scores
    rise and fall together, the interval is wider than it needs to be.

    Args:
        benign: scores `(n,)` of benign images.
        attacked: scores `(m,)` of attacked images.
        level: the confidence level, above 0 and below 1.

    Raises:
        InputError: one of the two is empty, a score is not finite, or the level is out of range.

    Example:
        >>> low, high = auc_interval(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0.1, 0.2, 0.3]))
        >>> round(low, 3), high
        (0.501, 1.0)
    """
    check_number("auc_interval", "level", level, above=0, below=1)
    area = auc(benign, attacked)
    z = NormalDist().inv_cdf((1 + level) / 2)
    low, other = (_lower_limit(one, z, len(benign), len(attacked)) for one in (area, 1 - area))
    return low, 1 - other


def _lower_limit(area: float, z: float, benign: int, attacked: int) -> float:
    """Return the smallest area that is at most `z` of its standard errors below the one that was found."""
    more = (benign + attacked) / 2 - 1
    low, high = 0.0, area
    for _ in range(60):  # halves the gap each time
        middle = (low + high) / 2
        variance = middle * (1 - middle) / (benign * attacked)
        variance *= 1 + more * ((1 - middle) / (2 - middle) + middle / (1 + middle))
        if area - middle > z * math.sqrt(variance):
            low = middle
        else:
            high = middle
    return high


def roc_curve(benign: Tensor, attacked: Tensor) -> tuple[Tensor, Tensor]:
    """Return false-positive and detection rates `(k,)` float64, for each threshold from the strictest to the loosest.

    An image is called attacked if its score is at most the threshold.

    Example:
        >>> [rates.tolist() for rates in roc_curve(torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.8]))]
        [[0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0]]
    """
    _check(benign, attacked)
    thresholds = torch.unique(torch.cat([benign, attacked]).double())[:, None]
    rates = [(scores.double()[None] <= thresholds).double().mean(1) for scores in (benign, attacked)]
    start = torch.zeros(1, dtype=torch.float64)
    return torch.cat([start, rates[0]]), torch.cat([start, rates[1]])


def threshold_rates(benign: Tensor, attacked: Tensor) -> tuple[float, float]:
    """Return the false-positive and the detection rate at the lowest score of the benign images of one half.

    The threshold is the lower bound of the scores of benign images (Xiao et al., ECCV 2018, sec. 5.2). It is found on
    the images at even positions, and the rates are those of the images at odd positions. An image is called attacked if
    its score is below the threshold.

    Raises:
        InputError: there are fewer than two images.

    Example:
        >>> threshold_rates(torch.tensor([0.9, 0.8, 0.7, 0.9]), torch.tensor([0.1, 0.2, 0.3, 0.8]))
        (0.0, 0.5)
    """
    _check(benign, attacked)
    if len(benign) < 2 or len(attacked) < 2:
        raise InputError(
            f"A threshold needs images to find it and others to test it, got {min(len(benign), len(attacked))}. Score "
            "two images or more.",
            setting="images",
            kind="out_of_range",
        )
    threshold = benign[::2].min()
    return float((benign[1::2] < threshold).double().mean()), float((attacked[1::2] < threshold).double().mean())


def _check(benign: Tensor, attacked: Tensor) -> None:
    if not len(benign) or not len(attacked):
        raise InputError(
            "There are no scores of benign or of attacked images, expected one or more of each.",
            setting="images",
            kind="out_of_range",
        )
    if not benign.isfinite().all() or not attacked.isfinite().all():
        raise InputError("Scores are not finite. Check the network and the images.", kind="not_finite")
