"""Other classes for the boxes that show an object."""

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError


class BoxClasses(Objective):
    """Move every box that shows an object to another class (Xie et al., ICCV 2017, arXiv 1703.08603, sec. 3.1).

    Each image has a random map from the present classes of objects to other classes, so that all boxes of an object
    move to the same class; two classes may move to the same one. Boxes of the background are ignored. The network is a
    `FixedBoxes` of `uap.victims.detection`, which knows the class of the object that each box shows.

    Example:
        >>> from types import SimpleNamespace
        >>> boxes = SimpleNamespace(objects=torch.tensor([1, 255, 1]), background=0)
        >>> goal = BoxClasses().prepare(boxes, torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 3))
        >>> goal.labels.tolist()
        [[2, 255, 2]]
    """

    metrics = ("success_rate", "success_before", "kept")
    is_random = True

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the other classes as the target, and 255 where a box shows no object.

        Raises:
            InputError: the network has no boxes, no box shows an object, or there is only one class of objects.
        """
        objects = getattr(victim, "objects", None)
        if objects is None:
            raise InputError(
                f"BoxClasses needs the boxes of a detection network, and {type(victim).__name__} has none. Call "
                "`fixed(image)` of a FasterRCNN or CellDetector.",
                setting="objective",
                kind="not_supported",
            )
        background = getattr(victim, "background", None)
        others = [name for name in range(clean_logits.shape[1]) if name != background]
        present = sorted(set(objects[objects != IGNORE].tolist()))
        if not present or len(others) < 2:
            raise InputError(
                "No box of the image shows an object, so there is nothing to attack. Leave the image out."
                if not present
                else f"BoxClasses needs 2 classes of objects or more, got {len(others)}.",
                setting="images" if not present else "classes",
                kind="not_supported",
            )
        labels = torch.full_like(objects, IGNORE)
        for name in present:
            choices = [other for other in others if other != name]
            labels[objects == name] = choices[int(torch.randint(len(choices), (), generator=generator))]
        return Goal(labels.expand(len(images), -1))
