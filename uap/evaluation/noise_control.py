"""Random signs as large as the change of an attack: the control of attacks without an epsilon."""

import torch
from torch import Tensor

from uap.attacks import Attack
from uap.attacks.random_signs import signs_of
from uap.evaluation.transferred import Transferred
from uap.metrics.perceptibility import rms_change
from uap.objectives.base import Goal, Model, Objective


class NoiseControl(Attack):
    """Adds random signs to each image, times the root mean square of an attack's change of that image.

    So noise and attack have the same size on every float image, whether the attack has an epsilon or not. The objective
    is that of the attack, so that both are scored on the same target.

    Args:
        transferred: the attack on its source.

    Example:
        >>> from uap.attacks import FGSM
        >>> from uap.objectives import Untargeted
        >>> from uap.victims import Victim
        >>> source = Victim(torch.nn.Conv2d(3, 2, 1), classes=["road", "sky"])
        >>> images = torch.full((1, 3, 16, 16), 9.0)
        >>> control = NoiseControl(Transferred(FGSM(2), source, Untargeted()))
        >>> round(rms_change(images, control(source, images, control.objective)).item(), 4)
        2.0
    """

    def __init__(self, transferred: Transferred) -> None:
        """Take the attack and its objective."""
        self.transferred = transferred
        self.objective = transferred.objective

    def perturb(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return the noisy images; the seed is that of the attack."""
        size = rms_change(images, self.transferred.made(images).adversarial).to(images)
        return images + size[:, None, None, None] * signs_of(images, self.transferred.seed)
