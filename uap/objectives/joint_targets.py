"""One target for several networks, from the class of which any of them is most confident."""

import torch
from torch import Tensor

from uap.objectives.base import Goal, Mask, Model, Objective, PredictionObjective
from uap.utils.class_tables import LabelTable
from uap.utils.errors import InputError


class JointTargets(Objective):
    """The target of another objective for all networks of a `uap.victims.Ensemble` (Kang et al., IEEE Access 2020).

    The clean prediction of a pixel is the class with the largest probability of any network, y = argmax_c max(p1_c,
    p2_c) (eq. 10). The objective makes one target from it.

    Args:
        objective: an objective that needs only the clean prediction.

    Raises:
        InputError: another objective.

    Example:
        >>> from uap.objectives import Untargeted
        >>> logits = torch.tensor([[[[[1.0]], [[0.0]]], [[[0.0]], [[3.0]]]]])  # (N, C, V, H, W) = (1, 2, 2, 1, 1)
        >>> logits.argmax(1).flatten().tolist()
        [0, 1]
        >>> JointTargets(Untargeted()).prepare(None, torch.zeros(1, 3, 1, 1), logits).labels.flatten().tolist()
        [1, 1]
    """

    def __init__(self, objective: PredictionObjective) -> None:
        """Take metrics and sign of the objective."""
        if not isinstance(objective, PredictionObjective):
            raise InputError(
                f"JointTargets got {type(objective).__name__}, expected an objective that needs only the clean "
                "prediction, such as Untargeted, SwapClasses or HideClasses.",
                setting="objective",
                kind="not_supported",
            )
        self.objective = objective
        self.metrics = objective.metrics  # type: ignore[misc]  # those of the instance
        self.sign = objective.sign  # type: ignore[misc]
        self.has_region = objective.has_region  # type: ignore[misc]

    @property
    def title(self) -> str:
        """The objective in tables."""
        return self.objective.title

    @property
    def hidden_classes(self) -> tuple[int, ...]:
        """The class ids that are to vanish; empty for other objectives."""
        return self.objective.hidden_classes

    def translated(
        self, ids: Mask, own: LabelTable, other: LabelTable, size: tuple[int, int]
    ) -> tuple[Objective | None, str]:
        """Return the objective for one network, whose own clean prediction it then takes."""
        return self.objective.translated(ids, own, other, size)

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the target, the same for each of the networks: labels `(N, V, H, W)` for logits `(N, C, V, H, W)`."""
        prediction = joint_prediction(clean_logits)
        goal = self.objective.from_prediction(victim, prediction, generator)
        shape = (len(prediction), clean_logits.shape[2], *prediction.shape[1:])
        region = None if goal.region is None else goal.region[:, None].expand(shape)
        return Goal(goal.labels[:, None].expand(shape).contiguous(), region, goal.sign, goal.excluded)


def joint_prediction(logits: Tensor) -> Tensor:
    """Return the class with the largest probability of any network, `(N, H, W)` for logits `(N, C, V, H, W)` (eq. 10).

    Raises:
        InputError: the logits are not those of several networks.

    Example:
        >>> joint_prediction(torch.tensor([[[[[1.0]], [[0.0]]], [[[0.0]], [[3.0]]]]])).tolist()
        [[[1]]]
    """
    if logits.ndim != 5:
        raise InputError(
            f"JointTargets got logits {tuple(logits.shape)} of one network, expected those of a uap.victims.Ensemble, "
            "(N, C, V, H, W). For one network, use its objective alone.",
            setting="objective",
            kind="wrong_shape",
        )
    return logits.softmax(1).amax(2).argmax(1)
