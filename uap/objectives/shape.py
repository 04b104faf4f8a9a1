"""A geometric shape of one class as the target (Xie et al., ICCV 2017)."""

from typing import Literal, get_args

import torch
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective, void_classes
from uap.objectives.classes import class_id
from uap.utils.errors import InputError
from uap.utils.numbers import check_number

Form = Literal["square", "circle", "diamond", "strip"]
"""The shapes of Xie et al., in the center of the image."""


def shape_mask(form: Form, height: int, width: int, scale: float = 0.5) -> Tensor:
    """Return bool `(height, width)`, True inside a centered shape.

    Args:
        form: `square`, `circle`, `diamond`, or `strip` (a horizontal band over the whole width).
        height: of the mask in pixels.
        width: of the mask in pixels.
        scale: side, diameter, diagonal or thickness of the shape as a share of the shorter side (of the height for a
            strip).

    Example:
        >>> shape_mask("diamond", 4, 4, scale=0.75).int().tolist()
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    y = (torch.arange(height) + 0.5 - height / 2).abs()[:, None]
    x = (torch.arange(width) + 0.5 - width / 2).abs()[None, :]
    radius = scale * (height if form == "strip" else min(height, width)) / 2
    distance = {
        "square": torch.maximum(y, x),
        "circle": (y.square() + x.square()).sqrt(),
        "diamond": y + x,
        "strip": y + 0 * x,
    }[form]
    return distance <= radius


class Shape(Objective):
    """Predict a centered shape of one class, and the clean prediction around it.

    Xie et al. (arXiv 1703.08603, sec. 3.3) give the shape a class that is not in the image: by default a random class
    that is absent from the image's clean prediction, and that the victim's table does not name `void`.

    Args:
        form: `square`, `circle`, `diamond` or `strip`.
        target_class: the class inside the shape, an id or a name of the victim's table; None for a random absent class.
        background: the class around the shape, an id or a name; None keeps the clean prediction there.
        scale: size of the shape as a share of the shorter side.

    Raises:
        InputError: an unknown form, or a scale outside (0, 1].

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3, 4, 4)
        >>> goal = Shape("square", target_class=2).prepare(lambda images: logits, torch.zeros(1, 3, 4, 4), logits)
        >>> goal.labels[0].tolist()
        [[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]]
    """

    metrics = ("success_rate", "success_before", "kept", "miou_clean_prediction")
    is_random = True  # without a class, it samples one
    has_region = True

    def __init__(
        self,
        form: Form = "circle",
        target_class: int | str | None = None,
        background: int | str | None = None,
        scale: float = 0.5,
    ) -> None:
        """Set the shape."""
        check_number("Shape", "scale", scale, high=1, above=0)
        if form not in get_args(Form):
            raise InputError(
                f"Shape got form={form!r}, expected one of {', '.join(get_args(Form))}.",
                setting="form",
                kind="unknown_name",
            )
        self.form: Form = form
        self.target_class = target_class
        self.background = background
        self.scale = scale

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the shape as the target; the region is its inside.

        Raises:
            InputError: the predictions are no maps, or the network has no class of a name or id.
        """
        classes, height, width = map_shape(self, clean_logits)
        inside = shape_mask(self.form, height, width, self.scale).to(clean_logits.device)
        labels = clean_logits.argmax(1)
        if self.background is not None:
            labels = torch.full_like(labels, class_id(victim, self.background, classes))
        given = None if self.target_class is None else class_id(victim, self.target_class, classes)
        named = [c for c in range(classes) if c not in void_classes(victim)]
        for label, prediction in zip(labels, clean_logits.argmax(1), strict=True):
            order = [c for c in torch.randperm(classes, generator=generator).tolist() if c in named]
            absent = [c for c in order if not (prediction == c).any()]
            chosen = absent[0] if absent else named[-1]
            label[inside] = chosen if given is None else given
        return Goal(labels, inside.expand_as(labels))


def map_shape(objective: Objective, logits: Tensor) -> tuple[int, int, int]:
    """Return the number of classes, the height and the width of logits `(N, C, H, W)`.

    Raises:
        InputError: the logits are no maps, such as those of boxes.

    Example:
        >>> map_shape(Shape(), torch.zeros(1, 3, 4, 5))
        (3, 4, 5)
    """
    if logits.ndim != 4:
        raise InputError(
            f"{type(objective).__name__} needs logits (N, C, H, W), got {tuple(logits.shape)}.", kind="wrong_shape"
        )
    _, classes, height, width = logits.shape
    return classes, height, width
