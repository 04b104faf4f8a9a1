"""Non-linear generation of adversarial images: a hyperbolic tangent of a learned scale and offset of each value."""

from typing import Literal

import torch
from torch import Tensor

from uap.attacks.base import Attack
from uap.attacks.source_region import (
    clean_classes,
    in_image,
    mean_over,
    region_of,
    source_losses,
    still_source,
    summed_means,
)
from uap.losses.base import cross_entropy
from uap.objectives.base import Goal, Model, Objective
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError
from uap.utils.numbers import check_number
from uap.utils.sampling import image_generator, sampled_seed
from uap.victims.ensemble import Ensemble

HALF = 127.5
"""Grey levels of half the range: images are scaled to -1 to 1."""

LARGEST = 1 - 1 / 255
"""Values on the scale from -1 to 1 are clipped to it, because the inverse of tanh is infinite at 1."""

SPREAD = 0.01
"""The first scales are 1, and the first offsets 0, each with uniform noise of this size."""


class TanhAffine(Attack):
    """Images `tanh(W * atanh(I) + xi)` with a scale W and an offset xi for each value (Kang et al., IEEE Access 2020).

    I is the clean image on the scale from -1 to 1. Adam lowers the cross entropy with the labels, plus a penalty on
    the mean squared change. The image stays within 0 to 255 without clipping. The slope of tanh is almost 0 at both
    ends, so that a step changes dark and bright values less than others.

    The paper prints `tanh(W * I + xi)` (eq. 2), which changes an image with all grey levels by 8.5 of them on average
    before the first step. `form="printed"` is this formula; within 50 steps the penalty takes most of that change back.

    On a `uap.victims.Ensemble`, with the locations `(V, H, W)`, the loss is the sum of those of its networks, and the
    weights are those of their largest probabilities, M = max(p1, p2) (eq. 11).

    Args:
        steps: number of steps of Adam.
        lr: learning rate.
        penalty: weight lambda of the mean squared change on the scale from -1 to 1. The paper does not give it; 100
            leads to changes of the size that it reports, 0.2 to 2.2 grey levels on average.
        local: change only the region of the goal, and use loss and penalty there alone. In each step the region is
            inferred again: pixels that have lost the classes of the clean image there have no loss, and keep their
            value. The loss is the log-probability of the clean class minus that of the label (algorithm 1, eq. 5 and
            6). Otherwise the whole image is changed, and the loss is the cross entropy of all locations (algorithm 2,
            which the paper calls universal).
        weights: weight of a location by the position of the label's probability p between the smallest and the largest
            class probability. `hard` is 1 where p is the smallest, as the paper describes its weight; `printed` is 1
            where p is the largest, as eq. 4 says; None for equal weights.
        form: `inverse` for tanh(W * atanh(I) + xi), `printed` for the formula that the paper prints.
        epsilon: the largest change of a pixel value, in grey levels; None for no bound, as in the paper. After each
            step, offsets that lead beyond it are moved back to it, so that no value loses its gradient.

    Raises:
        InputError: a value out of range.

    Example:
        >>> import torch
        >>> from uap.objectives import Shape
        >>> _ = torch.manual_seed(0)
        >>> victim, images = torch.nn.Conv2d(3, 2, 1), torch.full((1, 3, 8, 8), 9.0)
        >>> square = Shape("square", target_class=1, background=0)
        >>> adversarial = TanhAffine(steps=3)(victim, images, square)
        >>> bool((adversarial >= 0).all()), bool((adversarial <= 255).all())
        (True, True)
    """

    def __init__(
        self,
        steps: int = 50,
        lr: float = 0.01,
        penalty: float = 100.0,
        local: bool = False,
        weights: Literal["hard", "printed"] | None = "hard",
        form: Literal["inverse", "printed"] = "inverse",
        epsilon: float | None = None,
    ) -> None:
        """Set the steps."""
        check_number("TanhAffine", "steps", steps, 1, whole=True)
        check_number("TanhAffine", "lr", lr, above=0)
        check_number("TanhAffine", "penalty", penalty, 0)
        if epsilon is not None:
            check_number("TanhAffine", "epsilon", epsilon, 1, 255, unit="grey levels")
        if weights not in ("hard", "printed", None) or form not in ("inverse", "printed"):
            raise InputError(
                f"TanhAffine got weights={weights!r} and form={form!r}, expected 'hard', 'printed' or None, and "
                "'inverse' or 'printed'.",
                kind="unknown_name",
            )
        self.steps = steps
        self.lr = lr
        self.penalty = penalty
        self.local = local
        self.weights = weights
        self.form = form
        self.epsilon = epsilon

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
            InputError: the objective has no target, or no region for a local attack.
        """
        self._check(goal, objective)
        clean = clean_classes(objective, victim, images, clean) if self.local else clean
        base = images / HALF - 1
        base = torch.atanh(base.clamp(-LARGEST, LARGEST)) if self.form == "inverse" else base
        changed = in_image(region_of(goal)) if self.local else torch.ones_like(images[:, 0], dtype=torch.bool)
        source = torch.ones_like(goal.labels, dtype=torch.bool)  # all locations, unless the attack is local
        limits = self._limits(images)
        affine = self._start(images, generator)
        _bound(affine, base, limits)
        optimizer = torch.optim.Adam([affine], lr=self.lr)  # moves each value alone: no image depends on the batch
        for _ in range(self.steps):
            with torch.enable_grad():
                adversarial = _image(base, affine, images, changed)
                logits = self._forward(victim, adversarial)
                goal = objective.refresh(goal, logits.detach())
                if self.local:
                    source, losses = still_source(logits, clean, goal), source_losses(logits, clean, goal)
                else:
                    losses = cross_entropy(logits, goal.labels)
                losses = self._weight(logits, goal, isinstance(victim, Ensemble)) * losses
                change = mean_over(((adversarial - images) / HALF).square().mean(1), changed)
                loss = summed_means(losses, source) + self.penalty * change
                affine.grad = self._gradient(loss * goal.labels[0].numel(), affine)
            before = affine.detach().clone() if self.local else None
            optimizer.step()
            if before is not None:  # Adam also moves what has no gradient in this step
                with torch.no_grad():
                    affine.copy_(torch.where(in_image(source)[:, None, None], affine, before))
            _bound(affine, base, limits)
            self.cost.steps += 1
        return _image(base, affine, images, changed)

    def _limits(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the smallest and the largest argument of the tanh within epsilon; None without a bound."""
        if self.epsilon is None:
            return None
        low, high = (((images + sign * self.epsilon) / HALF - 1).clamp(-LARGEST, LARGEST) for sign in (-1, 1))
        return torch.atanh(low), torch.atanh(high)

    def _check(self, goal: Goal, objective: Objective) -> None:
        if goal.sign < 0 or (self.local and goal.region is None):
            lacking = "target for each location" if goal.sign < 0 else "region"
            raise InputError(
                f"TanhAffine needs a {lacking}, which {type(objective).__name__} has not. Use SwapClasses or "
                "HideClasses.",
                setting="objective",
                kind="not_supported",
            )

    def _start(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return scale and offset `(N, 2, 3, H, W)`, uniform from 0.99 to 1.01 and from -0.01 to 0.01."""
        seed = sampled_seed(generator)
        noise = [torch.rand(2, *image.shape, generator=image_generator(seed, image)) for image in images]
        affine = SPREAD * (2 * torch.stack(noise).to(images) - 1)
        affine[:, 0] += 1
        return affine.requires_grad_()

    @torch.no_grad()
    def _weight(self, logits: Tensor, goal: Goal, joint: bool) -> Tensor:
        """Return the weights `(N, *L)`, which are constants for the gradient."""
        if self.weights is None:
            return torch.ones_like(logits[:, 0])
        probability = logits.softmax(1)
        probability = probability.amax(2, keepdim=True).expand_as(probability) if joint else probability
        of_label = probability.gather(1, goal.labels.masked_fill(goal.labels == IGNORE, 0)[:, None])[:, 0]
        least, largest = probability.amin(1), probability.amax(1)
        place = (of_label - least) / (largest - least).clamp(min=1e-12)
        return 1 - place if self.weights == "hard" else place


@torch.no_grad()
def _bound(affine: Tensor, base: Tensor, limits: tuple[Tensor, Tensor] | None) -> None:
    """Move offsets, in place, so that the argument of the tanh is within its limits."""
    if limits is not None:
        inside = affine[:, 0] * base + affine[:, 1]
        affine[:, 1] += inside.clamp(*limits) - inside


def _image(base: Tensor, affine: Tensor, images: Tensor, changed: Tensor) -> Tensor:
    """Return the adversarial images `(N, 3, H, W)`, which are the clean ones where `changed` `(N, H, W)` is False."""
    adversarial = HALF * (torch.tanh(affine[:, 0] * base + affine[:, 1]) + 1)
    return torch.where(changed[:, None], adversarial, images)
