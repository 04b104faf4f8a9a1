"""The method, on one page: sign-gradient steps on one perturbation for all images, over a frozen network."""

from collections.abc import Callable
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from uap.callbacks.projection import ProjectToEpsilon
from uap.checkpoints import IDENTITY, check_identity
from uap.data.base import Batch, data_of
from uap.data.predictions import attach_targets
from uap.errors import InputError
from uap.losses import CrossEntropy, TargetLoss
from uap.metrics import success_counts
from uap.optim import CosineToEnd, SignSGD
from uap.perturbation import Perturbation
from uap.targets import Target
from uap.victims import FrozenVictim


class UniversalAttack(LightningModule):
    """Learns one perturbation that makes a frozen network draw the target on every image (Metzen et al., ICCV 2017).

    Each step takes the gradient of the loss between the network's output on `clip(image + tile(proto))` and the image's
    target, averaged over images, tiles and ranks, moves the proto-tile by its sign, and clips it to epsilon.
    """

    def __init__(
        self,
        victim: FrozenVictim,
        target: Target,
        size: tuple[int, int],
        epsilon: float = 10.0,
        tile: tuple[int, int] | None = None,
        loss: TargetLoss | None = None,
        step_size: float = 1.0,
        momentum: float = 0.9,
        lr_scheduler: Callable[[Optimizer], LRScheduler] = CosineToEnd,
    ) -> None:
        """Describe the attack.

        Args:
            victim: the network under attack.
            target: what it is to draw.
            size: height and width of the images.
            epsilon: the largest change of a grey level (0 to 255).
            tile: height and width of the periodic proto-tile; the image's size for no period.
            loss: what is minimised; J_ss with tau = 0.75 by default.
            step_size: of a sign step, in grey levels.
            momentum: decay of past gradients; 0 is the paper.
            lr_scheduler: how the step size changes from step to step; over the whole run by a cosine by default.
        """
        super().__init__()
        self._victim = [victim]  # in a list: no submodule, so not saved, not trained, not synced over ranks
        self.target = target
        self.size = size
        self.perturbation = Perturbation(tile or size, epsilon)
        self.loss = loss or CrossEntropy()
        self.step_size = step_size
        self.momentum = momentum
        self.lr_scheduler = lr_scheduler

    @property
    def victim(self) -> FrozenVictim:
        """The network under attack."""
        return self._victim[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Move the victim along with the module, though it is none of its submodules."""
        self.victim._apply(fn)  # type: ignore[no-untyped-call]
        return cast(nn.Module, super()._apply(fn, recurse))  # type: ignore[no-untyped-call]

    def setup(self, stage: str) -> None:
        """Predict the clean images once and make the targets."""
        self.victim.to(self.trainer.strategy.root_device)
        self.victim.check(self.size)
        attach_targets(data_of(self.trainer), self.victim, self.target, self.trainer)

    def forward(self, images: Tensor) -> Tensor:
        """Return the victim's logits `(N, C, H, W)` on the adversarial images of `(N, 3, H, W)`."""
        logits: Tensor = self.victim(self.perturbation(images))
        return logits

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the mean loss of a batch; a short last batch counts by its images, so that steps add up exactly."""
        target, weight = batch["target"].long(), batch["weight"]
        logits = self(batch["image"])
        loss = (self.loss(logits, target, batch["hidden"]) * weight).sum()
        with torch.no_grad():
            counts = success_counts(logits.argmax(1), target) * weight[:, None]
            success = counts[:, 0].sum() / counts[:, 1].sum()
        self.log_dict({"train/loss": loss.detach() / weight.sum(), "train/success": success}, prog_bar=True)
        return loss / data_of(self.trainer).batch_size

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the prediction `(N, H, W)` uint8 on the adversarial images as they can be saved, with 8 bits."""
        return self.victim.predict(self.perturbation.eight_bit(batch["image"]))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop before a gradient that is not finite destroys the perturbation."""
        gradient = self.perturbation.proto.grad
        if gradient is not None and not gradient.isfinite().all():
            raise InputError(
                f"The gradient is not finite at step {self.trainer.global_step}: {int((~gradient.isfinite()).sum())} "
                f"of {gradient.numel()} entries. The perturbation was left as it was. Check the network's weights and "
                "normalisation, or set --trainer.precision 32-true."
            )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return sign steps on the proto-tile under the schedule."""
        optimizer = SignSGD([self.perturbation.proto], self.step_size, self.momentum)
        schedule = self.lr_scheduler(optimizer)
        if isinstance(schedule, CosineToEnd):
            schedule.total_steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must agree with to be resumed."""
        return {
            "epsilon": self.perturbation.epsilon,
            "tile": list(self.perturbation.proto.shape[-2:]),
            "size": list(self.size),
            "victim": self.victim.fingerprint(),
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say beside the perturbation what it was learnt for."""
        checkpoint[IDENTITY] = self.identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another attack."""
        check_identity(checkpoint, self.identity())

    def configure_callbacks(self) -> list[Callback]:
        """Return the projection: no configuration can leave it out."""
        return [ProjectToEpsilon()]
