"""Random targets for dense adversary generation: every class that is present becomes one that is absent."""

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective, void_classes
from uap.utils.errors import InputError


class RandomClasses(Objective):
    """Replace each class that is predicted on an image by a random class that is not (Xie et al., ICCV 2017).

    Each image has its own random one-to-one map from present to absent classes (arXiv 1703.08603, sec. 3.1). If an
    image has more present classes than absent ones, the rest go to other present classes. Outputs that the victim's
    table names `void` are never targets, because no class trained them.

    Args:
        keep: ids of classes that keep their label, such as `[0]` for Pascal VOC's background.

    Example:
        >>> import torch
        >>> logits = torch.eye(4)[None, :, :2]  # predicts 0 and 1; 2 and 3 are absent
        >>> goal = RandomClasses().prepare(lambda images: logits, torch.zeros(1, 3, 1, 2), logits)
        >>> sorted(goal.labels[0].tolist())
        [2, 3]
    """

    metrics = ("success_rate", "success_before", "kept", "miou_clean_prediction")
    is_random = True

    def __init__(self, keep: list[int] | None = None) -> None:
        """Set the classes that keep their label."""
        self.keep = tuple(keep or ())

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the permuted predictions as the target.

        Raises:
            InputError: the network has too few classes.
        """
        classes, unnamed = clean_logits.shape[1], void_classes(victim)
        named = classes - len(unnamed | set(self.keep))
        if named < 2:
            raise InputError(
                f"RandomClasses needs 2 classes or more to permute, got {named} besides keep={self.keep}.",
                setting="keep",
                kind="out_of_range",
            )
        prediction = clean_logits.argmax(1)
        labels = [self._permuted(one, classes, unnamed, generator) for one in prediction]
        return Goal(torch.stack(labels))

    def _permuted(
        self, prediction: Tensor, classes: int, unnamed: frozenset[int], generator: torch.Generator | None
    ) -> Tensor:
        order = torch.randperm(classes, generator=generator).tolist()  # one sample an image, whatever it shows
        found = [c for c in torch.unique(prediction).tolist() if c not in self.keep]
        present = sorted(found, key=lambda c: (c in unnamed, c))  # `void` takes an absent class last
        absent = [c for c in order if c not in present and c not in self.keep and c not in unnamed]
        table = torch.arange(classes)
        for position, source in enumerate(present):
            # beyond the absent classes, the next present class: never the class itself
            others = [c for c in present if c not in unnamed] or absent
            spare = next((c for c in others[position + 1 :] + others if c != source), source)
            table[source] = absent[position] if position < len(absent) else spare
        return table.to(prediction.device)[prediction]
