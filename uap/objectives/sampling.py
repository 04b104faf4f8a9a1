"""Goals whose samples depend on the image and a seed alone, not on its batch or on the order of the images."""

import zlib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective, PredictionObjective


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

    Example:
        >>> from uap.objectives import RandomClasses
        >>> images = torch.rand(2, 3, 1, 2)
        >>> logits = torch.eye(6)[None, :, :2].repeat(2, 1, 1)  # (N, C, L), predicts 0 and 1
        >>> goal = goal_of(RandomClasses(), lambda images: logits, images, seed=0, logits=logits)
        >>> alone = goal_of(RandomClasses(), lambda images: logits, images[1:], seed=0, logits=logits[1:])
        >>> torch.equal(goal.labels[1:], alone.labels)
        True
    """
    if isinstance(objective, PredictionObjective):
        known = logits.argmax(1) if prediction is None and logits is not None else prediction
    else:
        known = logits
    if known is None:
        raise RuntimeError(f"goal_of got neither logits nor, for a {type(objective).__name__}, predictions")
    goals = []
    for row, image in enumerate(images):
        generator, one = _generator(seed, image), known[row, None]
        if isinstance(objective, PredictionObjective):
            goals.append(objective.from_prediction(victim, one, generator))
        else:
            goals.append(objective.prepare(victim, image[None], one, generator))
    return joined(goals)


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


def _generator(seed: int, image: Tensor) -> torch.Generator:
    pixels = zlib.crc32(image.cpu().contiguous().numpy().tobytes())
    (state,) = np.random.SeedSequence([seed, pixels]).generate_state(1)
    return torch.Generator().manual_seed(int(state))
