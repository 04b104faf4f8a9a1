"""The untargeted objective: away from the clean prediction."""

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, PredictionObjective


class Untargeted(PredictionObjective):
    """Move every prediction away from the network's own clean prediction.

    The label is the prediction on the clean image, as in the authors' code of Arnab et al. (CVPR 2018,
    arXiv 1711.09856); ground truth has no part in it.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])  # (N, C, L) = (1, 2, 2)
        >>> goal = Untargeted().prepare(lambda images: logits, torch.zeros(1, 3, 1, 2), logits)
        >>> goal.labels.tolist(), goal.sign
        ([[0, 1]], -1)
    """

    metrics = ("miou_clean_prediction",)

    def from_prediction(self, victim: Model, prediction: Tensor, generator: torch.Generator | None = None) -> Goal:
        """Return the goal to leave the clean prediction."""
        return Goal(prediction, sign=-1)
