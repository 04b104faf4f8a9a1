"""The contract of losses, and the cross entropy that most of them are made of."""

import abc
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from uap.objectives.base import Goal, Model
from uap.utils.class_tables import IGNORE

SMALLEST_SUM, LARGEST_SUM = 1e-25, 1e25
"""Sums between them keep every exponential that matters in the range of float32."""


class Loss(abc.ABC):
    """A loss at each location of a prediction; lower is better for the attacker, whatever the sign of the goal.

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> class Logit(Loss):
        ...     def __call__(self, logits, goal, progress=0.0):
        ...         return -goal.sign * logits.gather(1, goal.labels[:, None])[:, 0]
        >>> Logit()(torch.tensor([[[2.0], [5.0]]]), Goal(torch.tensor([[1]]))).tolist()  # (N, C, L) = (1, 2, 1)
        [[-5.0]]
    """

    has_gradient_at_clean_image: ClassVar[bool] = True
    """Whether the clean image has a gradient; attacks start elsewhere if it has none."""

    def check(self, sign: int) -> None:  # noqa: B027  # most losses have both directions
        """Refuse goals that the loss has no meaning for; none by default.

        Args:
            sign: that of `Objective.sign`: +1 with a target, -1 without.
        """

    def prepare(self, goal: Goal, victim: Model, images: Tensor) -> Goal:
        """Return the goal with what the loss needs of the clean images `(N, 3, H, W)`; the goal itself by default."""
        return goal

    def output(self, victim: Model, images: Tensor) -> Tensor:
        """Return what the loss is computed from, `(N, C, *L)` float32: by default the logits of the network."""
        return victim(images).float()

    @abc.abstractmethod
    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the loss at each location.

        Args:
            logits: `(N, C, *L)`.
            goal: its labels are `(N, *L)`; with sign +1 the loss falls towards them, with -1 away from them.
            progress: the share of the attack's steps that are done, 0 to 1.

        Returns:
            `(N, *L)`, 0 at ignored locations. The backward pass may run once: it reuses the memory of the forward pass.
        """


def without_reached(loss: Tensor, reached: Tensor) -> Tensor:
    """Return losses `(N, *L)` whose values stay, and whose gradient is 0 where `reached` `(N, *L)` bool is True."""
    return torch.where(reached, loss.detach(), loss)


class LocationCrossEntropy(torch.autograd.Function):
    """Cross entropy at each location, with one tensor as large as the logits, which becomes the gradient in place.

    The logits of a segmentation network are the largest tensors of a step. `torch.nn.functional.cross_entropy` holds
    three of that size at a time, and copies logits in channels-last layout as well.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Return (N, *L) for logits (N, C, *L) and labels (N, *L) int64, 0 where the label is 255."""
        ignored = labels == IGNORE
        index = labels.masked_fill(ignored, 0)[:, None]
        exponentials, total, shift = shifted_exponentials(logits)
        ctx.save_for_backward(exponentials, total, index, ignored)
        loss = total.log() - (logits.gather(1, index) - shift)
        return loss[:, 0].clamp_(min=0).masked_fill_(ignored, 0.0)  # rounding may leave a confident location below 0

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return (softmax - one-hot label) * gradient."""
        exponentials, total, index, ignored = ctx.saved_tensors
        gradient = gradient.masked_fill(ignored, 0.0)[:, None]
        return exponentials.mul_(gradient / total).scatter_add_(1, index, -gradient), None


def shifted_exponentials(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return exp(logits - shift) (N, C, *L), their sums over the classes (N, 1, *L), and the shift.

    The largest logit of each location as the shift keeps the exponentials in range. On a CPU it takes as long to find
    as everything else, and most logits are in range without a shift; on a GPU it is fast, and testing the range would
    wait for the device. Without a shift the loss is exact to about 1e-5, as a difference of two numbers of the size of
    the logits; gradients lose nothing.
    """
    if logits.device.type == "cpu":
        exponentials = logits.exp()
        total = exponentials.sum(1, keepdim=True)
        if total.amin() > SMALLEST_SUM and total.amax() < LARGEST_SUM:
            return exponentials, total, logits.new_zeros(())
        del exponentials, total
    shift = largest_logit(logits)
    exponentials = (logits - shift).exp_()
    return exponentials, exponentials.sum(1, keepdim=True), shift


def largest_logit(logits: Tensor) -> Tensor:
    """Return (N, 1, *L), the largest logit of (N, C, *L), by comparing halves of the classes.

    On a CPU `torch.amax` over a few numbers that are adjacent in memory takes twice as long.
    """
    while (count := logits.shape[1]) > 1:
        half = (count + 1) // 2  # the middle one of an odd number is in both halves
        logits = torch.maximum(logits[:, :half], logits[:, -half:])
    return logits


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy (N, *L), 0 where ignored, for logits (N, C, *L) and labels (N, *L) int64.

    Example:
        >>> import torch
        >>> cross_entropy(torch.zeros(1, 2, 2), torch.tensor([[0, 255]])).round(decimals=3)  # log 2, and ignored
        tensor([[0.6930, 0.0000]])
    """
    loss: Tensor = LocationCrossEntropy.apply(logits, labels)
    return loss
