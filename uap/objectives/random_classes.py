"""Random targets for dense adversary generation: every class that is present becomes one that is absent."""

from typing import Literal

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective, void_classes
from uap.objectives.classes import check_classes
from uap.utils.errors import InputError

STUFF = frozenset(
    {"background", "road", "sidewalk", "pavement", "building", "wall", "fence", "vegetation", "tree", "terrain", "sky"}
)
"""Names of classes that are no objects, in the tables of Pascal VOC, CamVid and Cityscapes."""


class RandomClasses(Objective):
    """Replace each class that is predicted on an image by a random class that is not (Xie et al., ICCV 2017).

    Each image has its own random one-to-one map from present to absent classes (arXiv 1703.08603, sec. 3.1). If an
    image has more present classes than absent ones, the rest go to other present classes. Outputs that the victim's
    table names `void` are never targets, because no class trained them.

    Args:
        keep: ids of classes that keep their label, such as `[0]` for Pascal VOC's background; `stuff` for the classes
            of the victim's table in `STUFF`, so that objects alone move, as in Xie et al., who keep the background.

    Example:
        >>> import torch
        >>> logits = torch.eye(4)[None, :, :2]  # predicts 0 and 1; 2 and 3 are absent
        >>> goal = RandomClasses().prepare(lambda images: logits, torch.zeros(1, 3, 1, 2), logits)
        >>> sorted(goal.labels[0].tolist())
        [2, 3]
    """

    metrics = ("success_rate", "success_before", "kept", "miou_clean_prediction")
    is_random = True

    def __init__(self, keep: list[int] | Literal["stuff"] | None = None) -> None:
        """Set the classes that keep their label.

        Raises:
            InputError: another word than `stuff`, or other values than ids of 0 or more.
        """
        if keep is not None and not isinstance(keep, str):
            check_classes("RandomClasses", "keep", keep, (int,))
        if keep != "stuff" and (isinstance(keep, str) or any(name < 0 for name in keep or ())):
            raise InputError(
                f"RandomClasses got keep={keep!r}, expected class ids of 0 or more, or stuff.",
                setting="keep",
                kind="out_of_range",
            )
        self.keep: tuple[int, ...] | Literal["stuff"] = "stuff" if keep == "stuff" else tuple(keep or ())

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the permuted predictions as the target.

        Raises:
            InputError: the network has too few classes.
        """
        classes, unnamed = clean_logits.shape[1], void_classes(victim)
        kept = _stuff(victim) if self.keep == "stuff" else self.keep
        beyond = [name for name in kept if name >= classes]
        if beyond:
            raise InputError(
                f"RandomClasses got keep={list(kept)}, but the network has the classes 0 to {classes - 1}.",
                setting="keep",
                kind="out_of_range",
            )
        named = classes - len(unnamed | set(kept))
        if named < 2:
            raise InputError(
                f"RandomClasses needs 2 classes or more to permute, got {named} besides keep={list(kept)}.",
                setting="keep",
                kind="out_of_range",
            )
        prediction = clean_logits.argmax(1)
        labels = [self._permuted(one, classes, kept, unnamed, generator) for one in prediction]
        return Goal(torch.stack(labels))

    def _permuted(
        self,
        prediction: Tensor,
        classes: int,
        kept: tuple[int, ...],
        unnamed: frozenset[int],
        generator: torch.Generator | None,
    ) -> Tensor:
        order = torch.randperm(classes, generator=generator).tolist()  # one sample an image, whatever it shows
        found = [c for c in torch.unique(prediction).tolist() if c not in kept]
        present = sorted(found, key=lambda c: (c in unnamed, c))  # `void` takes an absent class last
        absent = [c for c in order if c not in present and c not in kept and c not in unnamed]
        table = torch.arange(classes)
        for position, source in enumerate(present):
            # beyond the absent classes, the next present class: never the class itself
            others = [c for c in present if c not in unnamed] or absent
            spare = next((c for c in others[position + 1 :] + others if c != source), source)
            table[source] = absent[position] if position < len(absent) else spare
        return table.to(prediction.device)[prediction]


def _stuff(victim: Model) -> tuple[int, ...]:
    """Return the ids of the classes of a victim's table that are no objects; none without a table."""
    names = getattr(getattr(victim, "table", None), "names", ())
    return tuple(i for i, name in enumerate(names) if name in STUFF)
