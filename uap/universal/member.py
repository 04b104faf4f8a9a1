"""A network under attack in a step, with the goals of the images on it."""

import torch
from torch import Tensor

from uap.losses import Loss, Reduction
from uap.objectives.base import Goal, Model, Objective, PredictionObjective
from uap.objectives.sampling import goal_of
from uap.universal.optim import unit_gradient
from uap.universal.random_views import View
from uap.utils.batches import ImageBatch
from uap.utils.clean_logits import clean_logits
from uap.utils.sampling import checksum


class Member:
    """A network under attack with its goals. An image has the same goal in each pass, also if the objective samples it.

    The clean prediction of an image is computed once if its index is known.
    """

    def __init__(self, victim: Model, objective: Objective, seed: int, loss: Loss, reduction: Reduction) -> None:
        """Keep the network, its objective with the seed of its samples, the loss at a location, and the reduction."""
        self.victim = victim
        self.objective = objective
        self.seed = seed
        self.loss = loss
        self.reduction = reduction
        self.predictions: dict[tuple[int, int], Tensor] = {}
        self.reached = 0.0

    def gradient(
        self,
        adversarial: Tensor,
        batch: ImageBatch,
        view: View | None,
        seen: Tensor,
        progress: float,
        is_unit: bool,
    ) -> Tensor:
        """Return the gradient of the loss with respect to the adversarial images `(N, 3, H, W)` of a batch.

        Args:
            adversarial: the adversarial images.
            batch: the clean images.
            view: the part of the images that is seen; None for whole images.
            seen: that part of the clean images.
            progress: the share of finished steps.
            is_unit: whether to scale the gradient of each image to the mean magnitude 1 / N.
        """
        goal = self.goal(batch)
        goal = self.loss.prepare(view.goal(goal, batch.images) if view else goal, self.victim, seen)
        leaf = adversarial.requires_grad_()
        images = unit_gradient(leaf, leaf.new_full((len(leaf),), 1 / len(leaf))) if is_unit else leaf
        logits = self.loss.output(self.victim, images)
        # a sum over locations, because in half precision the gradient of their mean would underflow
        value = self.reduction(self.loss(logits, goal, progress), goal).mean() * goal.labels[0].numel()
        self.reached = float(goal.reached(logits.detach()).float().mean())
        return torch.autograd.grad(value, leaf)[0]

    @torch.no_grad()
    def goal(self, batch: ImageBatch) -> Goal:
        """Return the goal for the images of a batch in their own size."""
        if isinstance(self.objective, PredictionObjective):
            prediction = self._predictions(batch)
            return goal_of(self.objective, self.victim, batch.images, self.seed, prediction=prediction)
        logits = clean_logits(self.victim, batch.images)
        return goal_of(self.objective, self.victim, batch.images, self.seed, logits=logits)

    def _predictions(self, batch: ImageBatch) -> Tensor:
        """Return the clean predictions `(N, *L)` int64."""
        if batch.index is None:
            return clean_logits(self.victim, batch.images).argmax(1)
        # data sets may augment, so that an index has other pixels in another pass
        index = list(zip(batch.index.tolist(), map(checksum, batch.images), strict=True))
        if not all(i in self.predictions for i in index):
            found = clean_logits(self.victim, batch.images).argmax(1).cpu()
            kept = found.to(torch.uint8) if int(found.max()) < 256 else found
            self.predictions.update(zip(index, kept, strict=True))
        return torch.stack([self.predictions[i] for i in index]).to(batch.images.device).long()
