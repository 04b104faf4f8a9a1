"""The uncertainty of predictions as a detector."""

from typing import Literal, get_args

import torch
from torch import Tensor

from uap.detectors.base import Detector
from uap.objectives.base import Model
from uap.utils.clean_logits import clean_logits
from uap.utils.errors import InputError

Measure = Literal["entropy", "variation_ratio", "margin"]
"""Entropy of the class probabilities; 1 - p1; 1 - p1 + p2. p1 and p2 are the two largest probabilities."""


class Uncertainty(Detector):
    """Mean uncertainty over the pixels of an image, with a minus sign (Maag et al., VISAPP 2024, arXiv 2305.12825).

    The authors combine the means of several measures; this detector has one of them, and needs no training. An attack
    may leave predictions that are more certain than those of benign images: see the two-sided AUC (`uap.metrics.roc`).

    Args:
        measure: `entropy` (divided by the logarithm of the number of classes), `variation_ratio` or `margin`.

    Raises:
        InputError: the measure is unknown.

    Example:
        >>> sure = lambda images: torch.stack([images[:, 0], images[:, 0] - 50], 1)
        >>> Uncertainty("variation_ratio")(sure, torch.full((1, 3, 4, 4), 9.0)).abs().tolist()
        [0.0]
    """

    def __init__(self, measure: Measure = "entropy") -> None:
        """Set the measure."""
        if measure not in get_args(Measure):
            raise InputError(
                f"Uncertainty got measure={measure!r}, expected one of {', '.join(get_args(Measure))}.",
                setting="measure",
                kind="unknown_name",
            )
        self.measure = measure

    def score(self, victim: Model, image: Tensor) -> float:
        """Return minus the mean uncertainty; see `Detector.score`."""
        p = clean_logits(victim, image).softmax(1)
        if self.measure == "entropy":
            entropy = -torch.special.xlogy(p, p).sum(1)
            return -float(entropy.mean()) / max(float(torch.tensor(float(p.shape[1])).log()), 1e-12)
        first, second = p.topk(2, dim=1).values.unbind(1)
        uncertainty = 1 - first if self.measure == "variation_ratio" else 1 - first + second
        return -float(uncertainty.mean())
