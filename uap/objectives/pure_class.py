"""One class at all pixels as the target (Xiao et al., ECCV 2018)."""

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective, void_classes
from uap.objectives.classes import class_id


def predicted_classes(prediction: Tensor, victim: Model) -> list[int]:
    """Return the classes of a prediction `(*L)`, without those that the victim's table names `void` if it has others.

    Example:
        >>> predicted_classes(torch.tensor([[2, 0, 2]]), lambda images: images)
        [0, 2]
    """
    found, void = torch.unique(prediction).tolist(), void_classes(victim)
    return [c for c in found if c not in void] or found


class PureClass(Objective):
    """Predict one class at all pixels: the pure color of Xiao et al. (ECCV 2018, sec. 5.1, arXiv 1810.05162).

    Args:
        target_class: an id or a name of the victim's table; None for a random one of the classes that the network
            predicts on the image, since many networks never predict some of their classes.

    Example:
        >>> logits = torch.zeros(1, 3, 1, 2)
        >>> PureClass(2).prepare(lambda images: logits, torch.zeros(1, 3, 1, 2), logits).labels.tolist()
        [[[2, 2]]]
    """

    metrics = (
        "success_rate",
        "success_before",
        "kept",
        "miou_clean_prediction",
        "miou_off_target_clean",
        "miou_off_target",
    )
    is_random = True  # without a class, it samples one

    def __init__(self, target_class: int | str | None = None) -> None:
        """Set the class."""
        self.target_class = target_class

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the class as the target.

        Raises:
            InputError: the network has no class of that name or id.
        """
        classes = clean_logits.shape[1]
        labels = clean_logits.argmax(1)
        given = None if self.target_class is None else class_id(victim, self.target_class, classes)
        for label in labels:
            predicted = predicted_classes(label, victim)
            chosen = int(torch.randint(len(predicted), (1,), generator=generator))
            label.fill_(predicted[chosen] if given is None else given)
        return Goal(labels)
