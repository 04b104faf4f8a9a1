"""The universal attack: sign-gradient steps on one perturbation for all images, with a frozen network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from uap.data.batch import Batch
from uap.data.datamodule import data_of
from uap.data.length import total_steps
from uap.losses import Loss, Reduction
from uap.metrics.counts import success_counts
from uap.objectives import Objective
from uap.universal.attack_module import AttackModule
from uap.universal.callbacks.finite_gradient import FiniteGradient
from uap.universal.callbacks.projection import ProjectToEpsilon
from uap.universal.callbacks.ranks import Ranks
from uap.universal.checkpoints import IDENTITY, check_identity
from uap.universal.optim import CosineToEnd, SignSGD, unit_gradient
from uap.universal.perturbation import Parametrization, Perturbation, tile
from uap.universal.random_views import RandomViews, random_shift
from uap.utils.errors import InputError
from uap.victims import Victim

SAMPLE = np.s_[..., ::8, ::8]
"""The pixels that are used for the success in the progress bar; all pixels would take as long as the loss."""

SCORED = "perturbation_sha256"
"""The key of `metrics.json` for the hash of the evaluated perturbation file."""


class UniversalAttack(AttackModule):
    """Learns one perturbation with which a network predicts the target on every image (Metzen et al., ICCV 2017).

    Each step computes the gradient of the loss between the output of the network on `clip(image + tile(proto))` and the
    target of the image, averaged over images and ranks and summed over tiles. The optimizer moves the proto-tile, by
    default by the sign of the gradient. Then the proto-tile is clipped to epsilon.
    """

    def __init__(
        self,
        victim: Victim,
        objective: Objective,
        size: tuple[int, int],
        ensemble: list[Victim] | None = None,
        epsilon: float = 10.0,
        tile: tuple[int, int] | None = None,
        start_epsilon: float | None = None,
        parametrization: Parametrization = "clip",
        random_shift: bool = False,
        random_scale: tuple[float, float] | None = None,
        random_crop: tuple[int, int] | None = None,
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
            ensemble: further networks under attack, each with its own prediction as target. All have the same weight,
                and they are distributed over the GPUs of a single process. Only `victim` is scored.
            epsilon: largest change of a grey level (0 to 255).
            tile: height and width of the periodic proto-tile; None for a perturbation of the size of the images.
            start_epsilon: a larger epsilon to start from; it falls linearly to epsilon over the first 60 % of steps.
            parametrization: `clip` to epsilon after each step, or `tanh`, which never exceeds it.
            random_shift: whether to shift the proto-tile randomly in each step, so that its position does not matter.
            random_scale: smallest and largest factor by which the images are resized at random in each step, before the
                perturbation is added; a larger image is cropped to its former size. None for the images as they are.
            random_crop: height and width of the part of the images, at a random place in each step, to which a tile is
                added; a step takes less time and memory. None for whole images.
            loss: loss of a pixel; the generalized cross entropy by default. The paper's is `CrossEntropy`, with
                tau = 0.75.
            reduction: sum over the pixels of an image; by default the mean, or balanced between the hidden pixels and
                the others if the objective hides any. The paper's are `Mean` and `Omega`.
            optimizer: moves the perturbation; sign steps with momentum by default.
            lr_scheduler: changes the step size after each step; a cosine over all steps by default.

        Raises:
            InputError: an epsilon or a scale out of range, a start_epsilon that is not above it or is combined with a
                tanh, or a tile that is larger than the images or their crops.
        """
        super().__init__(
            victim, objective, size, ensemble, epsilon, start_epsilon, parametrization, loss, reduction, optimizer,
            lr_scheduler,
        )  # fmt: skip
        if tile is not None and (tile[0] > size[0] or tile[1] > size[1]):
            raise InputError(
                f"model.tile is {list(tile)}, larger than the images, {list(size)}. Set it to their size or less.",
                setting="model.tile",
                kind="out_of_range",
            )
        self.views = RandomViews(random_scale, random_crop, tile or size)
        self.perturbation = Perturbation(tile or size, epsilon, parametrization)
        self.random_shift = random_shift
        self.finite_gradient = FiniteGradient()
        self.total_steps = 1
        self.scored_file = ""

    def setup(self, stage: str) -> None:
        """Prepare the targets; start at random if the loss has no gradient on clean images."""
        super().setup(stage)
        if stage == "fit" and not self.loss.has_gradient_at_clean_image:  # a checkpoint is loaded afterwards
            self.perturbation.start_at_random_(torch.Generator().manual_seed(data_of(self.trainer).seed))

    @property
    def progress(self) -> float:
        """The share of finished steps, 0 to 1."""
        return min(self.trainer.global_step / self.total_steps, 1.0)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss of a batch: summed over pixels, averaged over images.

        The sum is divided by the batch size also for a smaller last batch, so that every image has the same weight. The
        loss is not divided by the number of pixels, because gradients would be too small for half precision and for
        optimizers with an absolute constant, such as Adam.
        """
        view, weight = self.views.draw(self._step_seed(batch_index)), batch["weight"]
        seen = view.images(batch["image"]) if view else batch["image"]
        adversarial = self.perturbation(seen, self._random_shift(batch_index))
        self.finite_gradient.watch(adversarial, batch["index"])
        share = weight / data_of(self.trainer).batch_size
        loss, counts = torch.zeros((), device=self.device), torch.zeros(2, device=self.device)
        for member, prepared in enumerate([batch, *batch.get("ensemble", [])]):
            victim, goal = self.victims[member], self.goal(batch["image"], prepared, member)
            goal = view.goal(goal, batch["image"]) if view else goal
            device = victim.mean.device
            goal = self.loss.prepare(goal, victim, seen.to(device).float()).to(self.device)
            images = adversarial if len(self.victims) == 1 else unit_gradient(adversarial, share)
            logits = self.loss.output(victim, images.to(device)).to(self.device)
            loss = loss + (self.image_losses(logits, goal, self.progress) * weight).sum() / len(self.victims)
            sample = SAMPLE if logits.shape[-2:] == seen.shape[-2:] else np.s_[...]  # features have few locations
            hits = success_counts(logits.detach()[sample].argmax(1), goal.labels[sample])
            if self.objective.sign < 0:  # success means another class than the clean prediction
                hits[:, 0] = hits[:, 1] - hits[:, 0]
            counts += (hits * weight[:, None]).sum(0)
        metrics = {"train/loss": loss.detach() / weight.sum(), "train/success": counts[0] / counts[1]}
        self.log_dict(metrics, prog_bar=True)
        summed: Tensor = loss * adversarial[0, 0].numel() / data_of(self.trainer).batch_size
        return summed

    def _step_seed(self, batch_index: int) -> list[int]:
        """Return what the randomness of a step depends on: seed, epoch, batch and rank, so that it is reproducible."""
        return [data_of(self.trainer).seed, self.trainer.current_epoch, batch_index, self.trainer.global_rank]

    def _random_shift(self, batch_index: int) -> tuple[int, int]:
        """Return the shift of the proto-tile for a batch."""
        if not self.random_shift:
            return 0, 0
        height, width = self.perturbation.proto.shape[-2:]
        return random_shift(self._step_seed(batch_index), (height, width))

    def adversarial(self, batch: Batch) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` uint8 of a batch."""
        return self.perturbation.eight_bit(batch["image"])

    def change(self) -> Tensor:
        """Return the change of every image `(3, H, W)`."""
        return tile(self.perturbation.proto.detach(), self.size).float()

    def facts(self) -> dict[str, Any]:
        """Return the largest entry and the tile size, and the hash of an evaluated file, for `metrics.json`."""
        proto = self.perturbation.proto.detach()
        facts = {"largest_entry": round(float(proto.abs().max()), 4), "tile": list(proto.shape[-2:])}
        return facts | ({SCORED: self.scored_file} if self.scored_file else {})

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer of the perturbation and its schedule."""
        self.total_steps = total_steps(self.trainer)
        optimizer, schedule = self.moved_by([self.perturbation], self.total_steps)
        self.check_reach(self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def identity(self) -> dict[str, Any]:
        """Return the settings that a checkpoint must agree with to be resumed."""
        return super().identity() | {
            "tile": list(self.perturbation.proto.shape[-2:]),
            "ensemble": [member.fingerprint() for member in self.victims[1:]],
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the settings of the attack with the perturbation."""
        checkpoint[IDENTITY] = self.identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the checkpoint is of the same attack.

        Raises:
            InputError: its settings differ.
        """
        check_identity(checkpoint, self.identity())

    def configure_callbacks(self) -> list[Callback]:
        """Return the projection and the checks, which no configuration can remove."""
        return [ProjectToEpsilon(), self.finite_gradient, Ranks()]
