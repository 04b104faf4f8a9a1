"""The Jensen-Shannon divergence."""

import math

import torch
from torch import Tensor

from uap.losses.base import Loss, cross_entropy
from uap.objectives.base import Goal


class JensenShannon(Loss):
    """The Jensen-Shannon divergence between the softmax and the one-hot label (Croce et al., ECCV 2024, sec. 3).

    With p the label's probability it is (p log p - (1 + p) log(1 + p)) / 2 + log 2, from 0 to log 2 (arXiv 2306.12941).
    Away from labels the loss is the negative.

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> logits = torch.tensor([[[-1000.0], [0.0]]])  # p = 0
        >>> round(JensenShannon()(logits, Goal(torch.tensor([[0]]))).item(), 4)
        0.6931
    """

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the divergences `(N, *L)` in nats; the progress changes nothing."""
        log_p = -cross_entropy(logits, goal.labels)
        p = log_p.exp()
        loss = (p * log_p - (1 + p) * torch.log1p(p)) / 2 + math.log(2)
        return loss if goal.sign > 0 else -loss
