"""The loss of Houdini."""

from typing import Literal, get_args

import torch
from torch import Tensor

from uap.losses.base import Loss
from uap.metrics.agreement import mean_iou
from uap.objectives.base import Goal
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError

Task = Literal["iou", "pixel"]
"""The task loss of an image: 1 minus the mean IoU of prediction and labels, or the share of wrong locations."""


class Houdini(Loss):
    """Task loss times the chance that a noisy margin is exceeded (Cisse et al., NIPS 2017, arXiv 1707.05373).

    With the logit f_y of the label and the largest logit f_max, the loss of a location is
    Phi((f_max - f_y) / temperature) times the task loss of the image, where Phi is the distribution function of the
    normal distribution. The task loss is a constant for the gradient. Away from labels the sign is the opposite one.

    Where the label is predicted, the gradient is exactly 0. So an attack away from the clean prediction of an image
    needs a random start: on the clean image it has no gradient.

    Args:
        temperature: divides the margin, in logits; None for the standard deviation of the image's logits. The paper has
            none, which is 1. The gradient of a location has the weight exp(-(margin / temperature)^2 / 2), so with 1,
            locations with a margin of 5 have almost none.
        task: the task loss.

    Raises:
        InputError: the temperature is not above 0, or the task loss is unknown.

    Example:
        >>> from uap.objectives import Goal
        >>> logits = torch.tensor([[[0.0], [2.0]]])  # predicts class 1
        >>> round(Houdini(temperature=2, task="pixel")(logits, Goal(torch.tensor([[0]]))).item(), 3)  # Phi(1)
        0.841
    """

    def __init__(self, temperature: float | None = None, task: Task = "iou") -> None:
        """Set temperature and task loss."""
        if (temperature is not None and not temperature > 0) or task not in get_args(Task):
            raise InputError(
                f"Houdini got temperature={temperature} and task={task!r}, expected a number of logits above 0, and "
                f"{' or '.join(get_args(Task))}.",
                setting="model.loss",
                kind="out_of_range",
            )
        self.temperature = temperature
        self.task = task

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        """Return the losses `(N, *L)`; the progress changes nothing."""
        ignored = goal.labels == IGNORE
        index = goal.labels.masked_fill(ignored, 0)[:, None]
        largest, predicted = logits.max(1)
        behind = largest - logits.gather(1, index)[:, 0]
        shape = (-1, *[1] * (behind.ndim - 1))
        scale = goal.sign * self.task_loss(predicted, goal.labels).to(logits.dtype).view(shape)
        loss: Tensor = scale * torch.special.ndtr(behind / self._temperature(logits).view(shape))
        return loss.masked_fill(ignored, 0.0)

    def _temperature(self, logits: Tensor) -> Tensor:
        """Return `(N,)`, or `(1,)` if it is given; no gradient flows through it."""
        if self.temperature is not None:
            return logits.new_tensor([self.temperature])
        return logits.detach().flatten(1).std(1, correction=0).clamp(min=1e-6)

    def task_loss(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """Return `(N,)` float64, the task loss of predictions `(N, *L)` for labels `(N, *L)`, 255 = ignored.

        Example:
            >>> one, other = torch.tensor([[0, 0, 1]]), torch.tensor([[0, 1, 1]])
            >>> Houdini().task_loss(one, other).item(), round(Houdini(task="pixel").task_loss(one, other).item(), 3)
            (0.5, 0.333)
        """
        if self.task == "iou":
            return 1 - mean_iou(predicted, labels)
        valid = (labels != IGNORE).flatten(1)
        wrong = (predicted != labels).flatten(1) & valid
        return wrong.sum(1).double() / valid.sum(1).clamp(min=1)
