"""One label map as the target of every image."""

import copy
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uap.objectives.base import Mask, Model, PredictionObjective, ReadTarget
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError
from uap.utils.masks import resize_mask


class StaticTarget(PredictionObjective):
    """Predict one scene on every image (Metzen et al., ICCV 2017, sec. 3.1, arXiv 1704.05712).

    The scene is a label map, or the network's own prediction on a picture. In Python, make it from a tensor with
    `StaticTarget.of_labels` or `StaticTarget.of_image`.

    Args:
        image: path of a picture; the target is the network's prediction on it. Relative paths may start in the data's
            root.
        labels: path of a PNG of the data set's label ids; ignored pixels have no target.

    Raises:
        InputError: neither or both are given, or no path.

    Example:
        >>> import torch
        >>> target = StaticTarget.of_labels(torch.tensor([[0, 1]]))
        >>> logits = torch.zeros(2, 3, 1, 2)
        >>> target.prepare(lambda images: logits, torch.zeros(2, 3, 1, 2), logits).labels.tolist()
        [[[0, 1]], [[0, 1]]]
    """

    metrics: ClassVar[tuple[str, ...]] = ("success_rate", "success_before")
    needs_prediction: ClassVar[bool] = False

    def __init__(self, image: str | None = None, labels: str | None = None) -> None:
        """Name the scene."""
        if (image is None) == (labels is None):
            raise InputError(
                f"A static target got image={image} and labels={labels}, expected one of the two. Set "
                "one, and the other to null.",
                setting="model.objective",
                kind="conflict",
            )
        given = image if labels is None else labels
        if not isinstance(given, str | Path):
            raise InputError(
                f"A static target got {type(given).__name__}, expected the path of a file. Make one of a tensor with "
                "StaticTarget.of_labels or StaticTarget.of_image.",
                setting="model.objective",
                kind="wrong_type",
            )
        self.path = Path(given)
        self.is_image = image is not None
        self.scene: Mask | None = None

    @classmethod
    def of_labels(cls, labels: Tensor) -> "StaticTarget":
        """Return the target for a label map `(*L)` of class ids, 255 = no target there."""
        target = cls(labels="a tensor")
        target.scene = labels.cpu().to(torch.uint8).numpy()
        return target

    @classmethod
    def of_image(cls, victim: Model, image: Tensor) -> "StaticTarget":
        """Return the target that is the network's prediction on an image `(3, H, W)`, 0 to 255."""
        with torch.no_grad():
            return cls.of_labels(victim(image[None].float())[0].argmax(0))

    @property
    def title(self) -> str:
        """The objective in tables."""
        return "static"

    def translated(
        self, ids: Mask, own: LabelTable, other: LabelTable, size: tuple[int, int]
    ) -> tuple["StaticTarget | None", str]:
        """Return the scene in the classes of another network, resized by the nearest neighbor; None if it has none."""
        target = copy.copy(self)
        target.scene = ids[resize_mask(self._scene(), size)]
        lost = float((target.scene == IGNORE).mean()) - float((self._scene() == IGNORE).mean())
        note = f"{100 * lost:.1f} % of the target has no class in this network and is ignored" if lost > 0 else ""
        return (None if (target.scene == IGNORE).all() else target), note

    def bind(self, table: LabelTable, read: ReadTarget | None = None) -> None:
        """Read the scene, unless it is known, and check that it has classes of the network.

        Raises:
            InputError: no pixel has a class of the network, or some have classes that it does not have.
        """
        if self.scene is None and read is not None:
            self.scene = read(self.path, self.is_image)
        scene = self._scene()
        if (scene == IGNORE).all():
            raise InputError(
                f"{self.path} labels no pixel with a class of the network: {', '.join(table.names)}.",
                setting="model.objective",
                kind="unusable_file",
            )
        if (scene[scene != IGNORE] >= len(table)).any():
            raise InputError(
                f"The scene of {self.path} has classes that the network does not know: {', '.join(table.names)}. "
                "It was learned for another network: learn it again with python -m uap.fit.",
                setting="model.objective",
                kind="not_supported",
            )

    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the scene, and an empty region."""
        scene = self._scene()
        if prediction is not None and prediction.shape != scene.shape:
            raise InputError(
                f"The static target has the shape {scene.shape}, but the predictions have {prediction.shape}. Give a "
                "target of that shape.",
                setting="model.objective",
                kind="wrong_shape",
            )
        return scene, np.zeros(scene.shape, np.bool_)

    def _scene(self) -> Mask:
        if self.scene is None:
            raise InputError(
                f"The static target {self.path} was not read. In Python, use StaticTarget.of_image or .of_labels.",
                setting="model.objective",
                kind="not_supported",
            )
        return self.scene
