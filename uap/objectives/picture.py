"""A drawn picture as the target (Xiao et al., ECCV 2018)."""

from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uap.objectives.base import Goal, Model, Objective
from uap.objectives.classes import check_classes, class_id
from uap.objectives.pure_class import PureClass, predicted_classes
from uap.objectives.shape import map_shape
from uap.utils.errors import InputError

Motif = Literal["face", "text", "strips"]
"""A round face with ears and a bow; a word; vertical strips of equal width."""

STRIPS = 5
GRID = 1000
"""Side of the square that the face is drawn in, before it is scaled to the size of the image."""


def picture_parts(motif: Motif, height: int, width: int) -> NDArray[np.uint8]:
    """Return the parts `(height, width)` uint8 of a picture: 0 is the background, and each part has a number.

    Example:
        >>> picture_parts("strips", 1, 10).tolist()
        [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]]
        >>> np.unique(picture_parts("face", 64, 128)).tolist()
        [0, 1, 2, 3]
    """
    if motif == "strips":
        strip = (np.arange(width) * STRIPS // width).astype(np.uint8)
        return np.repeat(strip[None], height, 0)
    return _text(height, width) if motif == "text" else _face(height, width)


def _text(height: int, width: int) -> NDArray[np.uint8]:
    font, text = cv2.FONT_HERSHEY_DUPLEX, "UAP"
    (wide, high), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = min(0.85 * width / wide, 0.7 * height / high)
    thickness = max(1, round(5 * scale))
    (wide, high), _ = cv2.getTextSize(text, font, scale, thickness)
    parts: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
    cv2.putText(parts, text, ((width - wide) // 2, (height + high) // 2), font, scale, 1, thickness)
    return parts


def _face(height: int, width: int) -> NDArray[np.uint8]:
    square: NDArray[np.uint8] = np.zeros((GRID, GRID), np.uint8)
    for left in (-1, 1):  # ears
        ear = [(500 + left * 390, 130), (500 + left * 420, 480), (500 + left * 130, 270)]
        cv2.fillPoly(square, [np.array(ear)], 1)
    cv2.ellipse(square, (500, 590), (440, 340), 0, 0, 360, 1, -1)
    for left in (-1, 1):  # bow, at the right ear
        wing = [(760, 270), (760 + left * 190, 150), (760 + left * 190, 390)]
        cv2.fillPoly(square, [np.array(wing)], 2)
        cv2.ellipse(square, (500 + left * 200, 590), (40, 60), 0, 0, 360, 3, -1)  # eyes
    cv2.circle(square, (760, 270), 60, 2, -1)
    cv2.ellipse(square, (500, 700), (55, 38), 0, 0, 360, 3, -1)  # nose
    side = min(height, width)
    parts: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
    top, left_edge = (height - side) // 2, (width - side) // 2
    small = cv2.resize(square, (side, side), interpolation=cv2.INTER_NEAREST)
    parts[top : top + side, left_edge : left_edge + side] = small
    return parts


class Picture(Objective):
    """Predict a picture that the program draws, in the place of the image's scene.

    Xiao et al. (arXiv 1810.05162, sec. 5.1) use a cat's face with several background colors, and in their supplement
    text and color strips. Each part of the picture is one class.

    Args:
        motif: `face`, `text` or `strips`.
        classes: the classes of the background and of the parts, as ids or names of the victim's table, in turn; None
            for a random order of the classes that the network predicts on the image.

    Raises:
        InputError: the motif is unknown, or the classes are no list of ids or names.

    Example:
        >>> logits = torch.zeros(1, 5, 4, 10)
        >>> goal = Picture("strips", [4, 3]).prepare(lambda images: logits, torch.zeros(1, 3, 4, 10), logits)
        >>> goal.labels[0, 0].tolist()
        [4, 4, 3, 3, 4, 4, 3, 3, 4, 4]
    """

    metrics = PureClass.metrics
    is_random = True  # without classes, it samples them

    def __init__(self, motif: Motif = "face", classes: list[int | str] | None = None) -> None:
        """Set motif and classes."""
        if motif not in get_args(Motif):
            raise InputError(
                f"Picture got motif={motif!r}, expected one of {', '.join(get_args(Motif))}.",
                setting="motif",
                kind="unknown_name",
            )
        if classes is not None:
            check_classes("Picture", "classes", classes, (int, str))
        self.motif: Motif = motif
        self.classes = classes

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the picture as the target.

        Raises:
            InputError: the predictions are no maps, or the network has no class of a name or id.
        """
        classes, height, width = map_shape(self, clean_logits)
        parts = torch.from_numpy(picture_parts(self.motif, height, width)).long()
        given = None if not self.classes else [class_id(victim, name, classes) for name in self.classes]
        labels = []
        for prediction in clean_logits.argmax(1):
            predicted = predicted_classes(prediction, victim)
            order = torch.randperm(len(predicted), generator=generator).tolist()
            chosen = given or [predicted[i] for i in order]
            table = torch.tensor([chosen[part % len(chosen)] for part in range(int(parts.max()) + 1)])
            labels.append(table[parts])
        return Goal(torch.stack(labels).to(clean_logits.device))
