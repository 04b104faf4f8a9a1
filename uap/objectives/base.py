"""What an attacker wants from a network: the contract of objectives."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uap.utils.class_tables import IGNORE, LabelTable

Model = Callable[[Tensor], Tensor]
"""Images `(N, 3, H, W)` float, 0 to 255, to logits `(N, C, *L)`: a `Victim`, or any module like it."""

Mask = NDArray[np.uint8]

ReadTarget = Callable[[Path, bool], Mask]
"""Returns class ids `(H, W)` of the victim for a path: its prediction on a picture if the second argument is True, or
the labels of a PNG if it is False."""


@dataclass(frozen=True)
class Goal:
    """The labels that an attack moves the predictions of a batch towards, or away from.

    Attributes:
        labels: `(N, *L)` int64 class ids; 255 is ignored.
        region: `(N, *L)` bool, the locations that a reduction may weigh differently; None for no such region.
        sign: +1 to move towards the labels (targeted), -1 to move away from them (untargeted).
        excluded: class ids that `Objective.refresh` may not choose as labels: outputs without a class.
        features: `(N, F, *L)`, the features of the clean images, for losses of features.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])  # (N, C, L) = (1, 2, 2), predicts 0 and 1
        >>> Goal(torch.tensor([[0, 0]])).reached(logits).tolist()
        [[True, False]]
        >>> Goal(torch.tensor([[0, 0]]), sign=-1).reached(logits).tolist()
        [[False, True]]
    """

    labels: Tensor
    region: Tensor | None = None
    sign: Literal[1, -1] = 1
    excluded: tuple[int, ...] = ()
    features: Tensor | None = None

    def reached(self, logits: Tensor) -> Tensor:
        """Return bool `(N, *L)`: where the prediction is as the attacker wants it; False where ignored.

        Args:
            logits: `(N, C, *L)`.
        """
        is_label = logits.argmax(1) == self.labels
        return (is_label if self.sign > 0 else ~is_label) & (self.labels != IGNORE)

    def rows(self, rows: Tensor) -> "Goal":
        """Return the goal of some images of the batch, by their indices or a bool mask `(N,)`."""
        return self._with_each(lambda values: values[rows])

    def to(self, device: torch.device) -> "Goal":
        """Return the goal on a device."""
        return self._with_each(lambda values: values.to(device))

    def _with_each(self, change: Callable[[Tensor], Tensor]) -> "Goal":
        region, features = (None if values is None else change(values) for values in (self.region, self.features))
        return replace(self, labels=change(self.labels), region=region, features=features)


def void_classes(victim: Model) -> frozenset[int]:
    """Return the ids of the outputs that a victim's table names `void`: they have no class; none without a table.

    Example:
        >>> from types import SimpleNamespace
        >>> void_classes(SimpleNamespace(table=SimpleNamespace(names=("road", "void"))))
        frozenset({1})
    """
    names = getattr(getattr(victim, "table", None), "names", ())
    return frozenset(i for i, name in enumerate(names) if name.startswith("void"))


class Objective(abc.ABC):
    """Turns a network's clean prediction into the goal of an attack. Ground truth labels have no part in it.

    Example:
        >>> import torch
        >>> class FirstClass(Objective):
        ...     metrics = ("success_rate", "success_before")
        ...
        ...     def prepare(self, victim, images, clean_logits, generator=None):
        ...         return Goal(torch.zeros_like(clean_logits[:, 0], dtype=torch.int64))
        >>> logits = torch.zeros(1, 3, 2)  # (N, C, L)
        >>> FirstClass().prepare(lambda images: logits, torch.zeros(1, 3, 1, 2), logits).labels.tolist()
        [[0, 0]]
    """

    metrics: ClassVar[tuple[str, ...]] = ()
    """The metrics that score this objective, by their keys in `uap.metrics.names`."""

    sign: ClassVar[Literal[1, -1]] = 1
    """+1 for an objective with a target, -1 for one that only moves away from the clean prediction."""

    has_region: ClassVar[bool] = False
    """Whether its goals have a region, which the default reduction then balances with the other locations."""

    @abc.abstractmethod
    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the goal for a batch.

        Args:
            victim: the network; objectives that name classes read its `table`.
            images: `(N, 3, H, W)` float, 0 to 255.
            clean_logits: `(N, C, *L)`, what the network returns for the images.
            generator: source of randomness on the CPU, for objectives that sample.

        Raises:
            InputError: the objective does not fit the network or the images.
        """

    is_random: ClassVar[bool] = False
    """Whether it samples. Its goals are then made image by image, so that no sample depends on the batch."""

    @property
    def title(self) -> str:
        """The objective in tables: the name of its class by default."""
        return type(self).__name__

    def translated(
        self, ids: Mask, own: LabelTable, other: LabelTable, size: tuple[int, int]
    ) -> tuple["Objective | None", str]:
        """Return the objective for another network, or None if it has no meaning there; and a note, or "".

        The default returns the objective itself, which looks its classes up again.

        Args:
            ids: `(256,)` uint8, the class id of the other network for each own one; 255 if it has no such class.
            own: the classes of the network that the objective was made for.
            other: the classes of the other network.
            size: height and width of the images of the other network.
        """
        return self, ""

    def refresh(self, goal: Goal, logits: Tensor) -> Goal:
        """Return the goal for the next step of an attack, given the logits on the current adversarial images.

        The default keeps the goal. `LeastLikely` chooses its classes again.
        """
        return goal


class PredictionObjective(Objective):
    """An objective whose goal depends on the clean prediction alone, so that predictions can be cached.

    The universal attack makes goals image by image in the workers of its loader: `bind` once, then `make`.

    Example:
        >>> class NextClass(PredictionObjective):
        ...     metrics = ("success_rate", "success_before")
        ...
        ...     def make(self, prediction):
        ...         return (prediction + 1) % 3, np.zeros(prediction.shape, bool)
        >>> NextClass().from_prediction(lambda images: images, torch.tensor([[0, 2]])).labels.tolist()
        [[1, 0]]
    """

    needs_prediction: ClassVar[bool] = True
    """Whether `make` needs the clean prediction."""

    hidden_classes: tuple[int, ...] = ()
    """The class ids that are to vanish; empty for other objectives."""

    def bind(self, table: LabelTable, read: ReadTarget | None = None) -> None:
        """Look up class names, and read the files that the objective names; called before `make`.

        The default does nothing.

        Args:
            table: the classes of the victim.
            read: reads the files.

        Raises:
            InputError: the objective does not fit the network or the data.
        """

    @abc.abstractmethod
    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the labels `(*L)` uint8 and the region `(*L)` bool of one image, for its clean prediction `(*L)`.

        None stands for a prediction that is not made yet; a static target does not need it.
        """

    def usable(self, predictions: Mask) -> NDArray[np.bool_]:
        """Return `(N,)` bool, the images that can be learned from, for clean predictions `(N, *L)`; all by default."""
        return np.ones(len(predictions), np.bool_)

    def from_prediction(self, victim: Model, prediction: Tensor, generator: torch.Generator | None = None) -> Goal:
        """Return the goal for clean predictions `(N, *L)` int64; the other arguments are those of `prepare`."""
        table = getattr(victim, "table", None)
        if table is not None:
            self.bind(table)
        made = [self.make(one.to(torch.uint8).numpy()) for one in prediction.cpu()]
        labels = torch.stack([torch.from_numpy(np.array(label)) for label, _ in made]).long()
        region = torch.stack([torch.from_numpy(np.array(inside)) for _, inside in made]).to(prediction.device)
        return Goal(labels.to(prediction.device), region if self.has_region else None, self.sign)

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the goal for a batch; see `Objective.prepare`."""
        return self.from_prediction(victim, clean_logits.argmax(1), generator)
