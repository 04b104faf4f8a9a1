"""The loss of CosPGD."""

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.losses.base import Loss, cross_entropy
from uap.objectives.base import Goal


class CosPGD(Loss):
    """The cross entropy weighted by the cosine similarity of softmax and one-hot label (Agnihotri et al., ICML 2024).

    Away from labels the weight is the cosine (eq. 4, arXiv 2302.02213), so that locations that are still right count
    most; towards labels it is 1 - cosine (eq. 5), so that locations that are far from their label count most.

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> logits = torch.tensor([[[0.5], [0.5]]]).log()
        >>> round(CosPGD()(logits, Goal(torch.tensor([[0]]))).item(), 3)  # (1 - sqrt(1/2)) log 2
        0.203
    """

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the weighted cross entropy `(N, *L)`; no gradient flows through the weights."""
        loss = cross_entropy(logits, goal.labels)
        with torch.no_grad():  # the label is a unit vector: the cosine is p over the length of the softmax
            cosine = (-loss).exp() / F.softmax(logits, 1).norm(dim=1)
        weighted: Tensor = ((1 - cosine) if goal.sign > 0 else -cosine) * loss
        return weighted
