"""The untargeted objective: away from the clean prediction."""

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uap.objectives.base import Goal, Mask, Model, PredictionObjective, ReadTarget
from uap.utils.class_tables import LabelTable


class Untargeted(PredictionObjective):
    """Move every prediction away from the network's own clean prediction.

    The label is the prediction on the clean image, as in the authors' code of Arnab et al. (CVPR 2018,
    arXiv 1711.09856); ground truth has no part in it.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])  # (N, C, L) = (1, 2, 2)
        >>> goal = Untargeted().prepare(lambda images: logits, torch.zeros(1, 3, 1, 2), logits)
        >>> goal.labels.tolist(), goal.sign
        ([[0, 1]], -1)
    """

    metrics: ClassVar[tuple[str, ...]] = ("kept", "miou_clean_prediction")
    sign: ClassVar[Literal[1, -1]] = -1

    @property
    def title(self) -> str:
        """The objective in tables."""
        return "untargeted"

    def bind(self, table: LabelTable, read: ReadTarget | None = None) -> None:
        """Do nothing: no class has a name here, and no file is read."""

    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the prediction as the labels to leave, and an empty region."""
        if prediction is None:
            raise RuntimeError("Untargeted.make was called before there was a clean prediction")
        return prediction, np.zeros(prediction.shape, np.bool_)

    def from_prediction(self, victim: Model, prediction: Tensor, generator: torch.Generator | None = None) -> Goal:
        """Return the goal to leave the clean prediction."""
        return Goal(prediction, sign=-1)
