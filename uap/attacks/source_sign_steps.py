"""Sign steps in the source region alone: the baseline of Kang et al. for local attacks."""

import torch
from torch import Tensor

from uap.attacks.sign_steps import SignSteps
from uap.attacks.source_region import clean_classes, in_image, source_losses, still_source, summed_means
from uap.objectives.base import Goal, Model, Objective
from uap.utils.errors import InputError


class SourceSignSteps(SignSteps):
    """Sign steps on the pixels of a region that still have a class of the clean image there (Kang et al., 2020).

    In each step, the source region is inferred again, the loss of eq. 6 is that of its pixels, and only these pixels
    change: the log-probability of the clean class minus that of the label. It is the iterated FGSM of the paper's local
    attack, whose step and bound are not given (IEEE Access 2020, sec. V).

    Args:
        epsilon: the largest change of a pixel value, in grey levels.
        alpha: the step size, in grey levels.
        steps: the number of steps.

    Raises:
        InputError: a value out of range.

    Example:
        >>> import torch
        >>> from uap.objectives import SwapClasses
        >>> from uap.victims import Victim
        >>> _ = torch.manual_seed(0)
        >>> victim = Victim(torch.nn.Conv2d(3, 2, 1), classes=["road", "car"])
        >>> images = 200 * torch.rand(1, 3, 4, 4)
        >>> adversarial = SourceSignSteps(2, 0.1, 5)(victim, images, SwapClasses({"car": "road"}))
        >>> bool((adversarial - images).abs().amax() <= 0.5001)
        True
    """

    def __init__(self, epsilon: float = 2.0, alpha: float = 0.1, steps: int = 50) -> None:
        """Set the steps."""
        super().__init__(epsilon, alpha, steps)

    def perturb(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return the images after all steps; see `Attack.perturb`.

        Raises:
            InputError: the objective has no region with a target.
        """
        if goal.sign < 0 or goal.region is None:
            raise InputError(
                f"SourceSignSteps needs a region with a target, which {type(objective).__name__} has not. Use "
                "SwapClasses or HideClasses.",
                setting="objective",
                kind="not_supported",
            )
        adversarial, clean = images.clone(), clean_classes(objective, victim, images, clean)
        for _ in range(self.steps):
            adversarial.requires_grad_()
            with torch.enable_grad():
                logits = self._forward(victim, adversarial)
                goal = objective.refresh(goal, logits.detach())
                source = still_source(logits, clean, goal)
                losses = summed_means(source_losses(logits, clean, goal), source)
                gradient = self._gradient(losses * goal.labels[0].numel(), adversarial)
            step = gradient.sign().mul_(-self.alpha) * in_image(source)[:, None]
            adversarial = self._project(step.add_(adversarial.detach()), images)
            self.cost.steps += 1
        return adversarial
