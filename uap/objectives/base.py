"""What an attacker wants from a network: the contract of objectives."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from uap.labels import IGNORE

Model = Callable[[Tensor], Tensor]
"""Images `(N, 3, H, W)` float, 0 to 255, to logits `(N, C, *L)`: a `Victim`, or any module like it."""


@dataclass(frozen=True)
class Goal:
    """The labels that an attack moves the predictions of a batch towards, or away from.

    Attributes:
        labels: `(N, *L)` int64 class ids; 255 is ignored.
        region: `(N, *L)` bool, the locations that a reduction may weigh differently; None for no such region.
        sign: +1 to move towards the labels (targeted), -1 to move away from them (untargeted).
    """

    labels: Tensor
    region: Tensor | None = None
    sign: Literal[1, -1] = 1

    def reached(self, logits: Tensor) -> Tensor:
        """Return bool `(N, *L)`: where the prediction is as the attacker wants it; False where ignored.

        Args:
            logits: `(N, C, *L)`.
        """
        is_label = logits.argmax(1) == self.labels
        return (is_label if self.sign > 0 else ~is_label) & (self.labels != IGNORE)

    def rows(self, rows: Tensor) -> "Goal":
        """Return the goal of some images of the batch, by their indices or a bool mask `(N,)`."""
        return replace(self, labels=self.labels[rows], region=None if self.region is None else self.region[rows])


class Objective(abc.ABC):
    """Turns a network's clean prediction into the goal of an attack. Ground truth labels have no part in it."""

    metrics: tuple[str, ...] = ()
    """The metrics that score this objective, by their keys in `uap.metrics.names`."""

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

    def refresh(self, goal: Goal, logits: Tensor) -> Goal:
        """Return the goal for the next step of an attack, given the logits on the current adversarial images.

        The default keeps the goal. `LeastLikely` chooses its classes anew.
        """
        return goal


class PredictionObjective(Objective):
    """An objective whose goal depends on the clean prediction alone, so that predictions can be cached."""

    @abc.abstractmethod
    def from_prediction(self, victim: Model, prediction: Tensor, generator: torch.Generator | None = None) -> Goal:
        """Return the goal for clean predictions `(N, *L)` int64; the other arguments are those of `prepare`."""

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the goal for a batch; see `Objective.prepare`."""
        return self.from_prediction(victim, clean_logits.argmax(1), generator)
