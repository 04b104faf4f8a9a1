"""Reductions: one number for each image from the losses at its locations."""

import abc

import torch
from torch import Tensor

from uap.objectives.base import Goal
from uap.utils.errors import InputError


class Reduction(abc.ABC):
    """Reduces the losses at the locations of each image to one number, whatever else is in the batch.

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> class Largest(Reduction):
        ...     def __call__(self, losses, goal):
        ...         return losses.flatten(1).amax(1)
        >>> Largest()(torch.tensor([[1.0, 3.0]]), Goal(torch.tensor([[0, 0]]))).tolist()
        [3.0]
    """

    @abc.abstractmethod
    def __call__(self, losses: Tensor, goal: Goal) -> Tensor:
        """Return `(N,)` for the losses `(N, *L)` and their goal."""


def default_reduction(has_region: bool) -> Reduction:
    """Return the reduction of the universal attack: balanced for goals with a region, the mean for others.

    Example:
        >>> type(default_reduction(has_region=False)).__name__
        'Mean'
    """
    return Balanced(0.65) if has_region else Mean()


def _mean(losses: Tensor) -> Tensor:
    return losses.mean(tuple(range(1, losses.ndim)))


def _region(losses: Tensor, goal: Goal) -> Tensor:
    """Return the region of a goal, empty where it has none."""
    return torch.zeros_like(losses, dtype=torch.bool) if goal.region is None else goal.region


class Mean(Reduction):
    """The mean over all locations: J_ss of Metzen et al. (ICCV 2017, sec. 3, arXiv 1704.05712).

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> Mean()(torch.tensor([[1.0, 3.0]]), Goal(torch.tensor([[0, 0]]))).tolist()
        [2.0]
    """

    def __call__(self, losses: Tensor, goal: Goal) -> Tensor:
        """Return the mean `(N,)`."""
        return _mean(losses)


class Omega(Reduction):
    """The mean over all locations, those of the region weighted by omega and the others by 1 - omega.

    J_ss^omega of Metzen et al. (ICCV 2017, sec. 3.2, arXiv 1704.05712), whose region are the hidden pixels.

    Args:
        omega: weight of the locations of the region, 0 to 1; the paper has 0.9999.

    Raises:
        InputError: omega is not within [0, 1].

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> goal = Goal(torch.tensor([[0, 0]]), region=torch.tensor([[True, False]]))
        >>> round(Omega(0.9)(torch.tensor([[1.0, 3.0]]), goal).item(), 3)
        0.6
    """

    def __init__(self, omega: float) -> None:
        """Set the weight."""
        if not 0 <= omega <= 1:
            raise InputError(
                f"reduction.omega is {omega}, expected a weight from 0 to 1 (the paper has 0.9999).",
                setting="model.reduction.omega",
                kind="out_of_range",
            )
        self.omega = omega

    def __call__(self, losses: Tensor, goal: Goal) -> Tensor:
        """Return the weighted sum over the number of all locations `(N,)`."""
        return _mean(losses * torch.where(_region(losses, goal), self.omega, 1 - self.omega))


class Balanced(Reduction):
    """The mean over the region and the mean over the other locations of each image, weighted against each other.

    The two weigh the same in every image, whatever the size of its region; Omega weighs locations, so that images with
    a large region count more.

    Args:
        hidden_weight: weight of the mean over the region; the mean over the other locations has the rest of 1.
        smoothing: locations added to the count of the region, so that a region of a few pixels does not dominate.

    Raises:
        InputError: a weight that is not within [0, 1], a smoothing below 0.

    Example:
        >>> import torch
        >>> from uap.objectives import Goal
        >>> goal = Goal(torch.tensor([[0, 0, 0]]), region=torch.tensor([[True, False, False]]))
        >>> Balanced(0.5, smoothing=0.0)(torch.tensor([[4.0, 1.0, 3.0]]), goal).tolist()
        [3.0]
    """

    def __init__(self, hidden_weight: float = 0.5, smoothing: float = 500.0) -> None:
        """Set the weights."""
        if not 0 <= hidden_weight <= 1 or not smoothing >= 0:
            raise InputError(
                f"reduction.hidden_weight is {hidden_weight} and smoothing {smoothing}, expected 0 to 1, and 0 or "
                "more.",
                setting=f"model.reduction.{'smoothing' if 0 <= hidden_weight <= 1 else 'hidden_weight'}",
                kind="out_of_range",
            )
        self.hidden_weight = hidden_weight
        self.smoothing = smoothing

    def __call__(self, losses: Tensor, goal: Goal) -> Tensor:
        """Return the weighted sum of the two means `(N,)`."""
        region, locations = _region(losses, goal), tuple(range(1, losses.ndim))
        count = region.flatten(1).sum(1)
        inside = (losses * region).sum(locations) / (count + self.smoothing).clamp(min=1)
        outside = (losses * ~region).sum(locations) / (region[0].numel() - count).clamp(min=1)
        return self.hidden_weight * inside + (1 - self.hidden_weight) * outside
