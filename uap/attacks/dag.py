"""Dense adversary generation."""

from typing import Literal

import torch
from torch import Tensor

from uap.attacks.base import Attack
from uap.objectives.base import Goal, Model, Objective
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError
from uap.utils.numbers import check_number


class DAG(Attack):
    """Dense adversary generation (Xie et al., ICCV 2017, arXiv 1703.08603).

    Each step sums, over the active locations, the gradient of the adversarial class's logit minus that of another
    class, and moves the image by gamma along it, divided by its largest absolute value. It has no epsilon: the
    perturbation grows until few locations are active.

    * `variant="paper"` (algorithm 1): targets are the locations whose adversarial class differs from their clean
      prediction. A target is active while it is still predicted as its clean class, which is the class that is
      subtracted.
    * `variant="authors"` (the authors' code for segmentation): a location is active while it is not predicted as its
      adversarial class, and the currently predicted class is subtracted. Use it for label maps such as `Shape`: in
      the paper's variant a location stops as soon as it has any other class.

    An image stops when at most `tolerance` times its number of targets are active. Its result is the last step with the
    fewest active locations.

    Args:
        variant: which form.
        gamma: the largest change of a pixel value in one step, in grey levels.
        steps: the largest number of steps.
        tolerance: the share of targets that may stay active; None for 0 in the paper's form and 0.01 in the authors'.
        clamp: keep images within 0 to 255; the paper does not.
        confidence: the smallest probability that the adversarial class must have in the authors' form, besides being
            predicted; until then the best other class is subtracted. The authors ask for 0.8 of detected boxes.

    Raises:
        InputError: a value out of range.

    Example:
        >>> import torch
        >>> from uap.objectives import RandomClasses
        >>> _ = torch.manual_seed(0)
        >>> victim = torch.nn.Conv2d(3, 3, 1)
        >>> attack = DAG(gamma=5.0)
        >>> adversarial = attack(victim, torch.full((1, 3, 4, 4), 100.0), RandomClasses())
        >>> attack.cost.converged.tolist()
        [True]
    """

    def __init__(
        self,
        variant: Literal["paper", "authors"] = "paper",
        gamma: float = 0.5,
        steps: int = 200,
        tolerance: float | None = None,
        clamp: bool = False,
        confidence: float = 0.0,
    ) -> None:
        """Set the steps."""
        check_number("DAG", "gamma", gamma, above=0, unit="grey levels")
        check_number("DAG", "steps", steps, 1, whole=True)
        check_number("DAG", "confidence", confidence, 0, below=1)
        if tolerance is not None:
            check_number("DAG", "tolerance", tolerance, 0, below=1)
        if variant not in ("paper", "authors"):
            raise InputError(
                f"DAG got variant={variant!r}, expected 'paper' or 'authors'.", setting="variant", kind="unknown_name"
            )
        if confidence and variant == "paper":
            raise InputError(
                f"DAG got confidence={confidence} in the paper's form, which has none. Set variant='authors'.",
                setting="confidence",
                kind="conflict",
            )
        self.variant = variant
        self.gamma = gamma
        self.steps = steps
        self.tolerance = tolerance if tolerance is not None else (0.01 if variant == "authors" else 0.0)
        self.clamp = clamp
        self.confidence = confidence

    def perturb(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return for each image the step with the fewest active locations; see `Attack.perturb`.

        Raises:
            InputError: the objective has no target.
        """
        if goal.sign < 0:
            raise InputError(
                f"DAG needs a target for each location, which {type(objective).__name__} has not. Use RandomClasses, "
                "Shape, LeastLikely or a static target.",
                setting="objective",
                kind="not_supported",
            )
        targets = ((goal.labels != clean) & (goal.labels != IGNORE)).flatten(1).sum(1)
        allowed = (self.tolerance * targets).floor().long()
        current, best = images.clone(), images.clone()
        fewest = torch.full_like(targets, torch.iinfo(torch.int64).max)
        running = torch.ones(len(images), dtype=torch.bool, device=images.device)
        counts, latest = [], torch.zeros_like(targets)
        for step in range(self.steps + 1):  # the last pass counts what the last step left
            rows = running.nonzero()[:, 0]
            part = current[rows].requires_grad_()
            with torch.enable_grad():
                logits = self._forward(victim, part)
                active, subtracted = self._active(logits.detach(), goal.labels[rows], clean[rows])
                count = active.flatten(1).sum(1)
                latest[rows] = count
                counts.append(latest.cpu().clone())
                better = rows[count <= fewest[rows]]  # the last of equal ones: it is the closest to its goal
                best[better] = current[better]
                fewest[rows] = torch.minimum(fewest[rows], count)
                going = count > allowed[rows]
                running[rows[~going]] = False
                if step == self.steps or not going.any():
                    break
                losses = _sum_of_differences(logits, goal.labels[rows], subtracted, active)
                gradient = self._gradient(losses[going], part, int(going.sum()))[going]
            current[rows[going]] = self._step(current[rows[going]], gradient)
            self.cost.steps[rows[going].cpu()] += 1
        self.cost.converged = ~running.cpu()
        self.cost.active = torch.stack(counts, 1) / targets.cpu().clamp(min=1)[:, None]
        return best

    def _active(self, logits: Tensor, labels: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the active locations, bool `(n, *L)`, and the classes `(n, *L)` whose logits are subtracted."""
        predicted = logits.argmax(1)
        if self.variant == "paper":
            return (predicted == clean) & (labels != clean) & (labels != IGNORE), clean
        if not self.confidence:
            return (predicted != labels) & (labels != IGNORE), predicted
        index = labels.masked_fill(labels == IGNORE, 0)[:, None]
        others = logits.scatter(1, index, -torch.inf).argmax(1)
        unsure = logits.softmax(1).gather(1, index)[:, 0] < self.confidence
        return ((predicted != labels) | unsure) & (labels != IGNORE), others

    def _step(self, images: Tensor, gradient: Tensor) -> Tensor:
        largest = gradient.abs().flatten(1).amax(1)[:, None, None, None]
        moved = images - self.gamma * gradient / largest.where(largest > 0, torch.ones_like(largest))
        return moved.clamp(0, 255) if self.clamp else moved


def _sum_of_differences(logits: Tensor, labels: Tensor, subtracted: Tensor, active: Tensor) -> Tensor:
    """Return `(n,)`, the sums over active locations of the subtracted class's logit minus the label's."""
    index = labels.masked_fill(labels == IGNORE, 0)[:, None]
    difference = logits.gather(1, subtracted[:, None]) - logits.gather(1, index)
    return (difference[:, 0] * active).flatten(1).sum(1)
