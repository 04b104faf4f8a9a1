"""The contract of image-dependent attacks."""

import abc
from dataclasses import dataclass, field

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective
from uap.objectives.sampling import goal_of
from uap.utils.batches import check_images
from uap.utils.clean_logits import clean_logits
from uap.utils.errors import InputError
from uap.utils.eval_mode import in_eval_mode
from uap.utils.sampling import sampled_seed


@dataclass
class Cost:
    """What an attack has computed: images that went forward and backward through the network, and the steps of each.

    Attributes:
        forwards: images that went forward through the network after the clean pass; a batch of 4 counts 4.
        backwards: images that a gradient was computed for.
        steps: `(N,)` int64, the steps on each image of the last call.
        converged: `(N,)` bool, whether an attack that stops by itself did so; None for attacks of a fixed length.
        without_gradient: images whose first gradient is 0 everywhere, which an attack along the gradient cannot move.
        active: `(N, S + 1)` float32, of an attack that stops by itself: the share of an image's targets that were still
            active after 0 to S steps; the last value stays after the attack on the image has stopped.

    Example:
        >>> import torch
        >>> from uap.attacks import FGSM
        >>> from uap.objectives import Untargeted
        >>> attack = FGSM(epsilon=2)
        >>> _ = attack(torch.nn.Conv2d(3, 2, 1), torch.full((4, 3, 8, 8), 9.0), Untargeted())
        >>> attack.cost.forwards, attack.cost.backwards, attack.cost.steps.tolist()
        (4, 4, [1, 1, 1, 1])
    """

    forwards: int = 0
    backwards: int = 0
    steps: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    converged: Tensor | None = None
    without_gradient: int = 0
    active: Tensor | None = None


class Attack(abc.ABC):
    """An image-dependent attack: adversarial images for a batch, each independent of the others in the batch.

    Example:
        >>> import torch
        >>> from uap.objectives import Untargeted
        >>> class Brighter(Attack):
        ...     def perturb(self, victim, images, goal, objective, clean, generator):
        ...         return images + 1
        >>> Brighter()(torch.nn.Conv2d(3, 2, 1), torch.full((1, 3, 8, 8), 9.0), Untargeted()).unique().tolist()
        [10.0]
    """

    cost: Cost = Cost()
    """What the last call has computed."""

    epsilon: float | None = None
    """The largest change of a pixel value in grey levels; None for an attack without such a bound."""

    def __call__(
        self, victim: Model, images: Tensor, objective: Objective, generator: torch.Generator | None = None
    ) -> Tensor:
        """Attack a batch of images.

        Args:
            victim: images `(N, 3, H, W)` to logits `(N, C, *L)`: a `Victim` or any module like it. A module in train
                mode is attacked in eval mode, and is in train mode again afterwards.
            images: `(N, 3, H, W)` of any dtype, 0 to 255.
            objective: what the attacker wants.
            generator: source of the seed on the CPU, for attacks and objectives that sample; None for the seed 0, as in
                `evaluate`. The samples of an image depend on the seed and the image alone, not on its batch.

        Returns:
            The adversarial images `(N, 3, H, W)` float32, not rounded to 8 bits.

        Raises:
            InputError: the images have another shape or dtype or are on the scale from 0 to 1, or the objective does
                not fit the attack, the network or the images.
        """
        check_images(images)
        images = images.detach().float()
        logits = clean_logits(victim, images)
        goal = goal_of(objective, victim, images, sampled_seed(generator), logits=logits)
        return self.run(victim, images, goal, objective, logits.argmax(1), generator)

    def run(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Attack a batch whose clean predictions and goal are known; the other arguments are those of `__call__`.

        Args:
            victim: the network.
            images: `(N, 3, H, W)` float32, 0 to 255.
            goal: what `objective.prepare` returned.
            objective: renews the goal between steps.
            clean: `(N, *L)` int64, the predictions on the images.
            generator: source of randomness.

        Returns:
            The adversarial images `(N, 3, H, W)` float32.
        """
        self.cost = Cost(steps=torch.zeros(len(images), dtype=torch.int64))
        with in_eval_mode(victim):
            return self.perturb(victim, images, goal, objective, clean, generator).detach()

    @abc.abstractmethod
    def perturb(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return the adversarial images, and count passes in `self.cost`; the arguments are those of `run`."""

    def _forward(self, victim: Model, images: Tensor) -> Tensor:
        self.cost.forwards += len(images)
        return victim(images).float()

    def _gradient(self, losses: Tensor, images: Tensor, count: int | None = None) -> Tensor:
        """Return the gradient `(N, 3, H, W)` of the sum of the images' losses.

        Args:
            losses: `(n,)`.
            images: `(N, 3, H, W)`.
            count: number of images that the losses belong to; all by default.
        """
        count = len(images) if count is None else count
        (gradient,) = torch.autograd.grad(losses.sum(), images)
        if not (gradient.sum().isfinite() or gradient.isfinite().all()):  # a sum is faster, and may only overflow
            raise InputError(
                "The gradient is not finite. Check the weights and the normalization of the network, or use float32.",
                kind="not_finite",
            )
        if not self.cost.backwards:
            self.cost.without_gradient = count - int(gradient.flatten(1).any(1).sum())
        self.cost.backwards += count
        return gradient
