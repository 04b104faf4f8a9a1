"""The least likely class of each location as the target."""

from dataclasses import replace

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective, void_classes


class LeastLikely(Objective):
    """Move every prediction towards the class with the lowest logit at its location.

    Outputs that the victim's table names `void` are never targets, because no class trained them.

    With it FGSM is FGSM II and iterative FGSM is iterative FGSM II of Kurakin et al. (arXiv 1611.01236) and of Arnab et
    al. (CVPR 2018, arXiv 1711.09856), who choose the class again in each iteration, on the current image.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0], [4.0, 1.0]]])  # (N, C, L) = (1, 3, 2)
        >>> LeastLikely().prepare(lambda images: logits, torch.zeros(1, 3, 1, 2), logits).labels.tolist()
        [[1, 0]]
    """

    # success_rate counts the classes that were least likely on the clean images, though the target moves on
    metrics = ("success_rate", "success_before", "kept", "miou_clean_prediction")

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the least likely classes on the clean images as the target."""
        excluded = tuple(sorted(void_classes(victim)))
        return Goal(_least_likely(clean_logits, excluded), excluded=excluded)

    def refresh(self, goal: Goal, logits: Tensor) -> Goal:
        """Return the least likely classes on the current adversarial images as the target."""
        return replace(goal, labels=_least_likely(logits, goal.excluded))


def _least_likely(logits: Tensor, excluded: tuple[int, ...]) -> Tensor:
    """Return the classes `(N, *L)` with the lowest logits `(N, C, *L)` that are not excluded."""
    count = logits.shape[1]
    while count > 1 and count - 1 in excluded:  # outputs without a class are the last ones: a view needs no copy
        count -= 1
    logits, rest = logits[:, :count], [index for index in excluded if index < count]
    if rest:
        logits = logits.index_fill(1, torch.tensor(rest, device=logits.device), torch.inf)
    return logits.min(1).indices  # `argmin` takes almost twice as long on a CPU
