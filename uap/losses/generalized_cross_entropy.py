"""The generalized cross entropy, the default of the universal attack."""

import torch
from torch import Tensor

from uap.losses.base import Loss, cross_entropy
from uap.objectives.base import Goal
from uap.utils.errors import InputError


class GeneralizedCrossEntropy(Loss):
    """(1 - p^q) / q of the label's softmax probability p (Zhang and Sabuncu, NeurIPS 2018, eq. 6, arXiv 1805.07836).

    For q towards 0 it is the cross entropy, for q = 1 it is 1 - p. Its gradient is that of the cross entropy times p^q:
    towards labels, locations that are far from their label count less than those that are about to change. Away from
    labels the loss is the negative, which is bounded; with q = 0.5 it has the gradient of 2 sqrt(p).

    Args:
        q: the exponent.

    Raises:
        InputError: q is not within (0, 1].

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> logits = torch.tensor([[[0.25], [0.75]]]).log()  # p = 0.25
        >>> round(GeneralizedCrossEntropy(0.5)(logits, Goal(torch.tensor([[0]]))).item(), 3)
        1.0
    """

    def __init__(self, q: float = 0.5) -> None:
        """Set the exponent."""
        if not 0 < q <= 1:
            raise InputError(
                f"loss.q is {q}, expected an exponent above 0 and up to 1.", setting="model.loss.q", kind="out_of_range"
            )
        self.q = q

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the losses `(N, *L)`; the progress changes nothing."""
        loss = -torch.expm1(-self.q * cross_entropy(logits, goal.labels)) / self.q
        return loss if goal.sign > 0 else -loss
