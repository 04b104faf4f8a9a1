"""Goals whose samples depend on the image and a seed alone, not on its batch or on the order of the images."""

from dataclasses import replace

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective, PredictionObjective
from uap.utils.errors import InputError
from uap.utils.sampling import image_generator


def goal_of(
    objective: Objective,
    victim: Model,
    images: Tensor,
    seed: int,
    *,
    logits: Tensor | None = None,
    prediction: Tensor | None = None,
) -> Goal:
    """Return the goal for a batch, sampled for each image by the seed and the pixels of the image.

    So `uap.learn`, `evaluate` and attacks that are evaluated on other networks have the same target for an image.

    Args:
        objective: the objective.
        victim: the network.
        images: `(N, 3, H, W)` float32, 0 to 255.
        seed: seed of objectives that sample.
        logits: `(N, C, *L)`, what the network returns for the images; may be None for a `PredictionObjective`.
        prediction: `(N, *L)`, the classes that the network predicts; may be None if the logits are known.

    Raises:
        InputError: the objective does not fit the network or the images, or its sign is not that of its goals.

    Example:
        >>> from uap.objectives import RandomClasses
        >>> images = torch.rand(2, 3, 1, 2)
        >>> logits = torch.eye(6)[None, :, :2].repeat(2, 1, 1)  # (N, C, L), predicts 0 and 1
        >>> goal = goal_of(RandomClasses(), lambda images: logits, images, seed=0, logits=logits)
        >>> alone = goal_of(RandomClasses(), lambda images: logits, images[1:], seed=0, logits=logits[1:])
        >>> torch.equal(goal.labels[1:], alone.labels)
        True
    """
    if not isinstance(objective, Objective):
        name = getattr(objective, "__name__", repr(objective))
        raise InputError(
            f"The objective is {name}, expected an instance of an objective, such as uap.objectives.Untargeted() with "
            "its brackets.",
            setting="objective",
            kind="wrong_type",
        )
    if isinstance(objective, PredictionObjective):
        known = logits.argmax(1) if prediction is None and logits is not None else prediction
    else:
        known = logits
    if known is None:
        raise RuntimeError(f"goal_of got neither logits nor, for a {type(objective).__name__}, predictions")

    def goal_for(rows: slice, generator: torch.Generator) -> Goal:
        if isinstance(objective, PredictionObjective):
            return objective.from_prediction(victim, known[rows], generator)
        return objective.prepare(victim, images[rows], known[rows], generator)

    if objective.is_random:
        each = [slice(row, row + 1) for row in range(len(images))]
        goal = joined([goal_for(row, image_generator(seed, images[row])) for row in each])
    else:  # no checksums of images in the step of an attack that samples nothing
        goal = goal_for(slice(None), torch.Generator().manual_seed(seed))
    if goal.sign != objective.sign:
        raise InputError(
            f"{type(objective).__name__} returned a goal of sign {goal.sign:+d}, but its attribute sign is "
            f"{objective.sign:+d}. Set `sign` of the class to that of its goals.",
            setting="objective",
            kind="conflict",
        )
    return goal


def joined(goals: list[Goal]) -> Goal:
    """Return the goals of several batches as one.

    Example:
        >>> goals = [Goal(torch.tensor([[0]])), Goal(torch.tensor([[1], [2]]))]
        >>> joined(goals).labels.tolist()
        [[0], [1], [2]]
    """
    regions = [goal.region for goal in goals if goal.region is not None]
    labels = torch.cat([goal.labels for goal in goals])
    return replace(goals[0], labels=labels, region=torch.cat(regions) if regions else None)
