"""The base of the LightningModules that attack: network, objective, loss and optimizer of a configuration."""

import abc
import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from uap.configuration.class_errors import at_setting
from uap.data.batch import Batch, Prepared
from uap.data.datamodule import data_of
from uap.data.predictions import attach_targets
from uap.losses import GeneralizedCrossEntropy, Loss, Reduction, default_reduction
from uap.metrics.scores import Outcome
from uap.objectives import Goal, Objective, PredictionObjective, Untargeted
from uap.objectives.sampling import goal_of
from uap.universal.optim import CosineToEnd, GradientAggregation, SignSGD
from uap.universal.perturbation import Parametrization, Perturbation, check_epsilon
from uap.universal.reach import warn_of_small_steps
from uap.utils.errors import InputError
from uap.victims import Victim


class AttackModule(LightningModule, abc.ABC):
    """A LightningModule that attacks a frozen network; a validation scores its 8-bit adversarial images.

    A subclass returns the adversarial images (`adversarial`) and the properties that are reported (`facts`).
    """

    def __init__(
        self,
        victim: Victim,
        objective: Objective,
        size: tuple[int, int],
        ensemble: list[Victim] | None = None,
        epsilon: float = 10.0,
        start_epsilon: float | None = None,
        parametrization: Parametrization = "clip",
        loss: Loss | None = None,
        reduction: Reduction | None = None,
        optimizer: OptimizerCallable = SignSGD,
        lr_scheduler: Callable[[Optimizer], LRScheduler] = CosineToEnd,
    ) -> None:
        """Describe the attack.

        Args:
            victim: network under attack.
            objective: goal of the attack.
            size: height and width of the images.
            ensemble: further networks under attack, each with its own prediction as target.
            epsilon: largest change of a grey level (0 to 255).
            start_epsilon: a larger epsilon to start from; it falls linearly to epsilon over the first 60 % of steps.
            parametrization: `clip` to epsilon after each step, or `tanh`, which never exceeds it.
            loss: loss of a pixel; the generalized cross entropy by default. The paper's is `CrossEntropy`, with
                tau = 0.75.
            reduction: sum over the pixels of an image; by default the mean, or balanced between the hidden pixels and
                the others if the objective hides any. The paper's are `Mean` and `Omega`.
            optimizer: moves the perturbation; sign steps with momentum by default.
            lr_scheduler: changes the step size after each step; a cosine over all steps by default.

        Raises:
            InputError: an epsilon out of range, or a start_epsilon that is not above it or is combined with a tanh.
        """
        super().__init__()
        check_epsilon(epsilon, "model.epsilon")
        if start_epsilon is not None:
            check_epsilon(start_epsilon, "model.start_epsilon")
        if start_epsilon is not None and (parametrization == "tanh" or not epsilon < start_epsilon):
            raise InputError(
                f"start_epsilon is {start_epsilon} with epsilon {epsilon} and parametrization {parametrization}; "
                "expected more than epsilon, and clip. Leave start_epsilon out, or set it to null.",
                setting="model.start_epsilon",
                kind="conflict",
            )
        # in a list: no submodules, so not saved, not trained, not synced over ranks
        self.victims = [victim, *(ensemble or [])]
        self._objectives = [objective, *(copy.deepcopy(objective) for _ in self.victims[1:])]
        self.size = size
        self.epsilon = epsilon
        self.start_epsilon = start_epsilon
        self.parametrization: Parametrization = parametrization
        self.loss = loss or GeneralizedCrossEntropy()
        self.loss.check(objective.sign)
        self.reduction = reduction or default_reduction(objective.has_region)
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.predicted = 0
        self.settings: dict[str, Any] = {}
        """Other settings that a result depends on, as they were configured; plain values."""

    @property
    def victim(self) -> Victim:
        """The network under attack, and the first one of an ensemble."""
        return self.victims[0]

    @property
    def objective(self) -> Objective:
        """The goal of the attack on `victim`."""
        return self._objectives[0]

    @property
    @abc.abstractmethod
    def progress(self) -> float:
        """The share of the steps that are done, 0 to 1."""

    @abc.abstractmethod
    def adversarial(self, batch: Batch) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` uint8 of a batch."""

    @abc.abstractmethod
    def change(self) -> Tensor | None:
        """Return the change of every image `(3, H, W)`; None if each image has its own perturbation."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return the properties of the perturbation that `metrics.json` contains in addition to the metrics."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Move the victim too, which is not a submodule; for the others of an ensemble, change only the dtype."""
        self.victim._apply(fn)  # type: ignore[no-untyped-call]
        for member in self.victims[1:]:
            member._apply(lambda tensor: tensor.to(fn(tensor).dtype))  # type: ignore[no-untyped-call]
        return cast(nn.Module, super()._apply(fn, recurse))  # type: ignore[no-untyped-call]

    def setup(self, stage: str) -> None:
        """Predict the clean images once and make the targets."""
        if self.trainer.precision in ("16-true", "bf16-true"):
            raise InputError(
                f"trainer.precision is {self.trainer.precision}, which rounds the perturbation to half precision. Set "
                "bf16-mixed or 32-true.",
                setting="trainer.precision",
                kind="not_supported",
            )
        for victim, device in zip(self.victims, cycle(self._devices()), strict=False):
            victim.to(device)
            victim.check(self.size)
        data = data_of(self.trainer)
        self.predicted = attach_targets(data, self.victims, self._targets(), self.trainer)
        self.label_ids = torch.from_numpy(data.table.translation(self.victim.table))

    def _devices(self) -> list[torch.device]:
        """Return the device of each network: that of this process, and the other GPUs if this is the only process."""
        root = self.trainer.strategy.root_device
        if root.type != "cuda" or self.trainer.world_size > 1:
            return [root]
        return [root, *(d for d in map(torch.device, range(torch.cuda.device_count())) if d.index != root.index)]

    def bound(self) -> float:
        """Return the current bound of the perturbation: epsilon, or more in the first 60 % of the steps."""
        beyond = (self.start_epsilon or self.epsilon) - self.epsilon
        return self.epsilon + beyond * max(0.0, 1 - self.progress / 0.6)

    def _targets(self) -> list[PredictionObjective]:
        """Return the objectives whose targets the workers make; others get clean predictions alone."""
        return [one if isinstance(one, PredictionObjective) else Untargeted() for one in self._objectives]

    def goal(self, images: Tensor, prepared: Prepared, member: int = 0) -> Goal:
        """Return the goal of a batch: what the workers prepared, or made here if the objective needs clean logits.

        Args:
            images: `(N, 3, H, W)`.
            prepared: the targets of the network.
            member: the position of the network in `victims`.
        """
        objective, victim = self._objectives[member], self.victims[member]
        if isinstance(objective, PredictionObjective):
            return Goal(prepared["target"].long(), prepared["hidden"], objective.sign)
        with torch.no_grad():
            logits = victim(images.to(victim.mean.device).float()).to(images.device).float()
            return goal_of(objective, victim, images.float(), data_of(self.trainer).seed, logits=logits)

    def image_losses(self, logits: Tensor, goal: Goal, progress: float) -> Tensor:
        """Return the loss of each image `(N,)` for the logits `(N, C, H, W)` on adversarial images."""
        return self.reduction(self.loss(logits, goal, progress), goal)

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        """Return the `outcome` of the attack on a batch."""
        return {"outcome": self.outcome(batch)}

    def outcome(self, batch: Batch) -> Outcome:
        """Return the outcome of the attack on a batch, on 8-bit images."""
        adversarial = self.adversarial(batch)
        goal = self.goal(batch["image"], batch)
        goal = goal if self.objective.has_region else replace(goal, region=None)
        return Outcome(
            images=batch["image"],
            adversarial=adversarial,
            clean=batch["prediction"],
            predicted=self.victim.predict(adversarial),
            goal=goal,
            labels=self.label_ids.to(self.device)[batch["labels"].long()],
            index=batch["index"],
        )

    def moved_by(self, perturbations: list[Perturbation], steps: int) -> tuple[Optimizer, LRScheduler]:
        """Return the optimizer of some perturbations and the schedule of its step size, for a number of steps."""
        with at_setting("model.optimizer"):
            optimizer = self.optimizer([perturbation.parameter for perturbation in perturbations])
        with at_setting("model.lr_scheduler"):
            schedule = self.lr_scheduler(optimizer)
        if isinstance(optimizer, GradientAggregation):
            optimizer.check(steps)
        if isinstance(schedule, CosineToEnd):
            schedule.total_steps = steps
        return optimizer, schedule

    def check_reach(self, steps: int) -> None:
        """Warn if a number of steps is too small to reach epsilon, by a trial on one pixel."""
        trial = Perturbation((1, 1), self.epsilon, self.parametrization)
        optimizer, schedule = self.moved_by([trial], steps)
        warn_of_small_steps(trial.parameter, optimizer, schedule, steps, trial.epsilon)

    def identity(self) -> dict[str, Any]:
        """Return the settings that results of earlier starts must agree with."""
        return self.settings | {
            "epsilon": self.epsilon,
            "size": list(self.size),
            "parametrization": self.parametrization,
            "victim": self.victim.fingerprint(),
            "classes": list(self.victim.table.names),
        }
