"""What attacks on a region need: where the network still has its clean class, and the loss there."""

import torch
from torch import Tensor

from uap.losses.base import cross_entropy
from uap.objectives.base import Goal, Model, Objective
from uap.objectives.joint_targets import JointTargets, joint_prediction
from uap.utils.clean_logits import clean_logits


def clean_classes(objective: Objective, victim: Model, images: Tensor, clean: Tensor) -> Tensor:
    """Return the classes that an attack on a region leaves: the clean predictions.

    For `JointTargets` they are the joint prediction of the networks, the same for each, as the targets are (Kang et
    al., IEEE Access 2020, eq. 10).

    Args:
        objective: what the attacker wants.
        victim: the network.
        images: `(N, 3, H, W)`, 0 to 255, the clean images.
        clean: `(N, *L)` int64, what it predicts for them.
    """
    if not isinstance(objective, JointTargets):
        return clean
    return joint_prediction(clean_logits(victim, images))[:, None].expand_as(clean)


def still_source(logits: Tensor, clean: Tensor, goal: Goal) -> Tensor:
    """Return where in the region of a goal the prediction is a class that it had there on the clean image.

    This is the source region that is inferred again in each step (Kang et al., IEEE Access 2020, algorithm 1): a pixel
    that turned from car to truck is still in it if both were in the region, and one that has its label is not.

    Args:
        logits: `(N, C, *L)`.
        clean: `(N, *L)` int64, the clean predictions.
        goal: a goal with a region.

    Returns:
        `(N, *L)` bool.

    Example:
        >>> logits = torch.eye(3)[[0, 1, 2, 2]].T[None]  # predicts 0, 1, 2, 2
        >>> goal = Goal(torch.tensor([[0, 0, 0, 2]]), torch.tensor([[True, True, True, False]]))
        >>> still_source(logits, torch.tensor([[1, 1, 2, 2]]), goal).tolist()
        [[False, True, True, False]]
    """
    region = region_of(goal)
    sources = torch.zeros(logits.shape[:2], dtype=torch.bool, device=logits.device)
    sources[region.nonzero()[:, 0], clean[region]] = True
    predicted = logits.argmax(1)
    found = sources.gather(1, predicted.flatten(1)).view_as(predicted)
    return found & region & (predicted != goal.labels)


def source_losses(logits: Tensor, clean: Tensor, goal: Goal) -> Tensor:
    """Return the log-probability of the clean class minus that of the label `(N, *L)` (Kang et al., eq. 6).

    Example:
        >>> source_losses(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[0]]), Goal(torch.tensor([[1]]))).tolist()
        [[-2.0]]
    """
    return cross_entropy(logits, goal.labels) - cross_entropy(logits, clean)


def mean_over(values: Tensor, region: Tensor) -> Tensor:
    """Return the mean of values `(N, *L)` over a region `(N, *L)` of each image, `(N,)`; 0 if that is empty.

    Example:
        >>> mean_over(torch.tensor([[1.0, 5.0]]), torch.tensor([[False, True]])).tolist()
        [5.0]
    """
    return (values * region).flatten(1).sum(1) / region.flatten(1).sum(1).clamp(min=1)


def summed_means(values: Tensor, region: Tensor) -> Tensor:
    """Return the mean of values over a region, `(N,)`, or the sum of those of several networks (Kang et al., eq. 11).

    Args:
        values: `(N, *L)`, or `(N, V, H, W)` for V networks.
        region: of the same shape, bool.

    Example:
        >>> values = torch.tensor([[[[1.0, 5.0]], [[3.0, 9.0]]]])  # (N, V, H, W) = (1, 2, 1, 2)
        >>> region = torch.tensor([[[[True, True]], [[True, False]]]])
        >>> summed_means(values, region).tolist(), summed_means(values[:, 0], region[:, 0]).tolist()
        ([6.0], [3.0])
    """
    if values.dim() < 4:
        return mean_over(values, region)
    return mean_over(values.flatten(0, 1), region.flatten(0, 1)).view(values.shape[:2]).sum(1)


def in_image(region: Tensor) -> Tensor:
    """Return a region `(N, H, W)` for one of `(N, H, W)`, or of `(N, V, H, W)` for V networks: that of any of them."""
    return region.any(1) if region.dim() == 4 else region


def region_of(goal: Goal) -> Tensor:
    """Return the region of a goal.

    Raises:
        RuntimeError: it has none.
    """
    if goal.region is None:
        raise RuntimeError("an attack on a region got a goal without one")
    return goal.region
