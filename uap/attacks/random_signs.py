"""Random signs: the control of attacks that are bounded by epsilon."""

import torch
from torch import Tensor

from uap.attacks.base import Attack
from uap.objectives.base import Goal, Model, Objective
from uap.utils.numbers import check_number
from uap.utils.sampling import image_generator, sampled_seed


def signs_of(images: Tensor, seed: int) -> Tensor:
    """Return random signs, +1 or -1 in the shape of the images, which depend on the seed and each image alone.

    Example:
        >>> signs_of(torch.zeros(1, 3, 2, 2), seed=0).abs().unique().tolist()
        [1.0]
    """
    bits = [torch.randint(0, 2, image.shape, generator=image_generator(seed, image)) for image in images]
    return 2.0 * torch.stack(bits).to(images) - 1


class RandomSigns(Attack):
    """Adds epsilon times a random sign to each value: what noise of the same size does without any gradient.

    Args:
        epsilon: the change of each value, in grey levels.

    Raises:
        InputError: epsilon is not above 0 and up to 255.

    Example:
        >>> from uap.objectives import Untargeted
        >>> images = torch.full((1, 3, 4, 4), 9.0)
        >>> (RandomSigns(2)(torch.nn.Conv2d(3, 2, 1), images, Untargeted()) - images).abs().unique().tolist()
        [2.0]
    """

    def __init__(self, epsilon: float = 8.0) -> None:
        """Set epsilon."""
        check_number("RandomSigns", "epsilon", epsilon, high=255, above=0, unit="grey levels")
        self.epsilon: float = epsilon

    def perturb(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return the noisy images; see `Attack.perturb`."""
        return images + self.epsilon * signs_of(images, sampled_seed(generator))
