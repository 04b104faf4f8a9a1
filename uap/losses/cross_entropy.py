"""The cross entropy, with the confidence cut-off of Metzen et al."""

import math

import torch
from torch import Tensor

from uap.losses.base import Loss, cross_entropy, without_reached
from uap.objectives.base import Goal
from uap.utils.errors import InputError


class CrossEntropy(Loss):
    """The cross entropy with the labels, without a gradient where the goal is reached with confidence.

    Towards labels, a location whose label has a softmax probability p above tau has loss 0 (Metzen et al., ICCV 2017,
    sec. 3.2, arXiv 1704.05712). Away from labels the loss is log p, and the gradient is 0 where 1 - p is above tau
    and another class is predicted.
    With a cut-off of 0 only locations count whose prediction is not yet what the attacker wants: the masked cross
    entropy of Croce et al. (ECCV 2024, arXiv 2306.12941). No gradient flows through the comparison.

    Args:
        confidence: the cut-off tau, a probability; None for no cut-off.

    Raises:
        InputError: the cut-off is not within [0, 1).

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> logits = torch.tensor([[[0.0], [0.0]]])  # (N, C, L) = (1, 2, 1)
        >>> towards, away = Goal(torch.tensor([[0]])), Goal(torch.tensor([[0]]), sign=-1)
        >>> round(CrossEntropy()(logits, towards).item(), 3), round(CrossEntropy()(logits, away).item(), 3)
        (0.693, -0.693)
    """

    def __init__(self, confidence: float | None = 0.75) -> None:
        """Set the cut-off."""
        if confidence is not None and not 0 <= confidence < 1:
            raise InputError(
                f"loss.confidence is {confidence}, expected a probability from 0 and below 1, or null.",
                setting="model.loss.confidence",
                kind="out_of_range",
            )
        self.confidence = confidence

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the losses `(N, *L)`; the progress changes nothing."""
        loss = cross_entropy(logits, goal.labels)
        if self.confidence is None:
            return goal.sign * loss
        with torch.no_grad():
            reached = self._reached(loss, logits, goal)
        return loss.masked_fill(reached, 0.0) if goal.sign > 0 else without_reached(-loss, reached)

    def _reached(self, loss: Tensor, logits: Tensor, goal: Goal) -> Tensor:
        confidence = self.confidence or 0.0
        if goal.sign > 0:  # the cross entropy is -log p
            reached = loss < -math.log(confidence) if confidence else torch.ones_like(loss, dtype=torch.bool)
        else:
            reached = loss > -math.log1p(-confidence)
        # a probability above a half decides that a class is predicted; a small one does not decide that it is not
        return reached if goal.sign > 0 and confidence >= 0.5 else reached & goal.reached(logits)
