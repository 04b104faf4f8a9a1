"""A target of its own for each of several networks that are attacked together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective
from uap.utils.errors import InputError


class SideBySideTargets(Objective):
    """A target of its own for each network of a `uap.victims.SideBySide` (Xie et al., ICCV 2017, arXiv 1703.08603).

    Args:
        objectives: an objective with a target for each network, in their order.

    Raises:
        InputError: another value than a list of objectives.

    Example:
        >>> from types import SimpleNamespace
        >>> from uap.objectives import Shape
        >>> joined = SimpleNamespace(victims=[None, None])
        >>> targets = SideBySideTargets([Shape("square", 1), Shape("strip", 1)])
        >>> goal = targets.prepare(joined, torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 8, 4))
        >>> goal.labels[0].sum(1).tolist()
        [0, 2, 2, 0, 0, 4, 4, 0]
    """

    metrics = ("success_rate", "success_before", "kept")
    is_random = True

    def __init__(self, objectives: Sequence[Objective]) -> None:
        """Keep the objectives."""
        if not isinstance(objectives, Sequence) or not all(isinstance(one, Objective) for one in objectives):
            raise InputError(
                f"SideBySideTargets got {objectives!r}, expected a list of objectives, one for each network.",
                setting="objectives",
                kind="wrong_type",
            )
        self.objectives = list(objectives)

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the targets below each other.

        Raises:
            InputError: there is not one objective for each network, or one has no target.
        """
        victims = list(getattr(victim, "victims", ()))
        if len(victims) != len(self.objectives):
            raise InputError(
                f"SideBySideTargets has {len(self.objectives)} objectives for {len(victims)} networks, expected one "
                "for each network of a uap.victims.SideBySide.",
                setting="objectives",
                kind="wrong_shape",
            )
        parts = clean_logits.chunk(len(victims), 2)
        goals = [
            objective.prepare(one, images, _own(part, one), generator)
            for objective, one, part in zip(self.objectives, victims, parts, strict=True)
        ]
        if any(goal.sign < 0 for goal in goals):
            raise InputError(
                "An objective of SideBySideTargets has no target. Use Shape, RandomClasses or a static target.",
                setting="objectives",
                kind="not_supported",
            )
        return Goal(torch.cat([goal.labels for goal in goals], 1))


def _own(logits: Tensor, victim: object) -> Tensor:
    """Return the logits of the classes that a network has; all of them if it has no table."""
    table = getattr(victim, "table", None)
    return logits if table is None else logits[:, : len(table)]
