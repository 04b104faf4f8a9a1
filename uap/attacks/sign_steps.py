"""Steps along the sign of the gradient: Metzen et al. for one image, PGD and MI-FGSM."""

import warnings
from functools import partial

import torch
from torch import Tensor

from uap.attacks.base import Attack
from uap.losses import CrossEntropy, Loss, Mean, Reduction
from uap.objectives.base import Goal, Model, Objective
from uap.utils.numbers import check_number
from uap.utils.sampling import image_generator, sampled_seed

SCALED = 0.2
"""An epsilon in grey levels below it is probably meant on the scale from 0 to 1. Arnab et al. start at 0.25."""


class SignSteps(Attack):
    """Iterated steps of one size along the sign of the gradient, within epsilon of the image.

    The defaults are those of Metzen et al. for one image (ICCV 2017, sec. 3.2, arXiv 1704.05712). PGD is a random start
    with `loss=CrossEntropy(None)` (Madry et al., arXiv 1706.06083), MI-FGSM has `momentum=1` (Dong et al., CVPR 2018,
    eq. 6, arXiv 1710.06081).

    Args:
        epsilon: the largest change of a pixel value, in grey levels.
        alpha: the step size, in grey levels.
        steps: the number of steps.
        loss: the loss at each location.
        reduction: how the losses of an image's locations are combined.
        momentum: decay of the sum of past gradients, each divided by its mean magnitude; 0 for none.
        random_start: start from uniform noise within epsilon; losses without a gradient on clean images always do.
        clamp: keep images within 0 to 255.

    Raises:
        InputError: a value out of range.

    Example:
        >>> import torch
        >>> from uap.objectives import Untargeted
        >>> _ = torch.manual_seed(0)
        >>> victim = torch.nn.Conv2d(3, 2, 1)
        >>> images = torch.full((1, 3, 4, 4), 9.0)
        >>> adversarial = SignSteps(epsilon=2, steps=3)(victim, images, Untargeted())
        >>> (adversarial - images).abs().unique().tolist()
        [2.0]
    """

    def __init__(
        self,
        epsilon: float = 10.0,
        alpha: float = 1.0,
        steps: int = 60,
        loss: Loss | None = None,
        reduction: Reduction | None = None,
        momentum: float = 0.0,
        random_start: bool = False,
        clamp: bool = True,
    ) -> None:
        """Set the steps."""
        owner = type(self).__name__
        check_number(owner, "epsilon", epsilon, high=255, above=0, unit="grey levels")
        check_number(owner, "alpha", alpha, above=0, unit="grey levels")
        check_number(owner, "steps", steps, 1, whole=True)
        check_number(owner, "momentum", momentum, 0, 1)
        if epsilon < SCALED:
            warnings.warn(
                f"epsilon is {epsilon:.3g} grey levels, which changes almost nothing. Did you mean {255 * epsilon:g}? "
                "Images range from 0 to 255.",
                stacklevel=3,
            )
        self.epsilon: float = epsilon
        self.alpha = alpha
        self.steps = steps
        self.loss = loss or CrossEntropy()
        self.reduction = reduction or Mean()
        self.momentum = momentum
        self.random_start = random_start
        self.clamp = clamp

    def perturb(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return the images after all steps; see `Attack.perturb`."""
        adversarial = self._start(images, generator)
        goal = self.loss.prepare(goal, victim, images)
        velocity = torch.zeros_like(images)
        for step in range(self.steps):
            adversarial.requires_grad_()
            with torch.enable_grad():
                logits = self._forward(partial(self.loss.output, victim), adversarial)
                goal = objective.refresh(goal, logits.detach())
                losses = self.reduction(self.loss(logits, goal, step / self.steps), goal)
                # a mean over the locations of a large image is too small for half precision
                gradient = self._gradient(losses * goal.labels[0].numel(), adversarial)
            if self.momentum:
                magnitude = gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-30)
                velocity = self.momentum * velocity + gradient / magnitude
            direction = velocity if self.momentum else gradient
            adversarial = self._project(direction.sign().mul_(-self.alpha).add_(adversarial.detach()), images)
            self.cost.steps += 1
        return adversarial

    def _start(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.random_start and self.loss.has_gradient_at_clean_image:
            return images.clone()
        seed = sampled_seed(generator)
        noise = [torch.rand(image.shape, generator=image_generator(seed, image)) for image in images]
        return self._project(images + self.epsilon * (2 * torch.stack(noise).to(images) - 1), images)

    def _project(self, adversarial: Tensor, images: Tensor) -> Tensor:
        """Move images, in place, within epsilon of the clean ones, and within 0 to 255 if asked."""
        adversarial.sub_(images).clamp_(-self.epsilon, self.epsilon).add_(images)
        return adversarial.clamp_(0, 255) if self.clamp else adversarial
