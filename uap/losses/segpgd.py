"""The loss of SegPGD."""

import torch
from torch import Tensor

from uap.losses.base import Loss, cross_entropy
from uap.objectives.base import Goal


class SegPGD(Loss):
    """The cross entropy, in which locations whose goal is reached get a growing weight (Gu et al., ECCV 2022).

    With progress t their weight is t / 2, and that of the others 1 - t / 2 (eq. 4 and 5, arXiv 2207.12391). Away from
    labels the goal is reached where the prediction is another class; towards labels, where it is the label.

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> logits = torch.tensor([[[0.25], [0.75]]]).log()
        >>> [round(SegPGD()(logits, Goal(torch.tensor([[0]])), t).item(), 3) for t in (0.0, 1.0)]  # 1.386 is -log(1/4)
        [1.386, 0.693]
    """

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the weighted cross entropy `(N, *L)`; no gradient flows through the weights."""
        weight = torch.where(goal.reached(logits), progress / 2, 1 - progress / 2).to(logits.dtype)
        return goal.sign * weight * cross_entropy(logits, goal.labels)
