"""The margin between the label's logit and the best other logit."""

import math

import torch.nn.functional as F
from torch import Tensor

from uap.losses.base import Loss
from uap.objectives.base import Goal
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError


class Margin(Loss):
    """max(0, best other logit - label's logit + margin) (Carlini and Wagner, S&P 2017, f_6, arXiv 1608.04644).

    Away from labels it is max(0, label's logit - best other logit + margin).

    Args:
        margin: the difference of logits beyond which a location has no loss.

    Raises:
        InputError: the margin is below 0.

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> logits, labels = torch.tensor([[[2.0], [5.0]]]), torch.tensor([[0]])
        >>> Margin(1.0)(logits, Goal(labels)).item(), Margin(1.0)(logits, Goal(labels, sign=-1)).item()
        (4.0, 0.0)
    """

    def __init__(self, margin: float = 1.0) -> None:
        """Set the margin."""
        if not margin >= 0:
            raise InputError(
                f"loss.margin is {margin}, expected a difference of logits, 0 or more.",
                setting="model.loss.margin",
                kind="out_of_range",
            )
        self.margin = margin

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the losses `(N, *L)`; the progress changes nothing."""
        ignored = goal.labels == IGNORE
        index = goal.labels.masked_fill(ignored, 0)[:, None]
        others = logits.scatter(1, index, -math.inf).amax(1)
        behind = others - logits.gather(1, index)[:, 0]
        loss: Tensor = F.relu(goal.sign * behind + self.margin)
        return loss.masked_fill(ignored, 0.0)
