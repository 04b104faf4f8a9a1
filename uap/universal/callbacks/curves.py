"""Curves of the perturbation over the optimizer steps."""

from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from uap.universal.module import UniversalAttack


class PerturbationCurves(Callback):
    """Logs three metrics of the perturbation after every step of the optimizer.

    `perturbation/linf` is the largest absolute value, in grey levels.
    `perturbation/saturation` is the share of the entries at -epsilon or epsilon.
    `perturbation/sign_flips` is the share of the entries whose change has the opposite sign of their change in the
    previous step, from the second step on. Changes are measured after clipping.
    """

    def __init__(self) -> None:
        """Start without a step."""
        self.before: Tensor | None = None
        self.moved: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the signs of the last changes, int8 `(3, h, w)`, with which a resumed run continues."""
        return {"moved": None if self.moved is None else self.moved.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the signs of the last changes."""
        self.moved = state_dict["moved"]

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Store the perturbation before the step; this is not called for batches that only accumulate gradients."""
        self.before = cast(UniversalAttack, pl_module).perturbation.proto.detach().clone()

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the metrics if the batch ended with a step."""
        if self.before is None:
            return
        perturbation = cast(UniversalAttack, pl_module).perturbation
        magnitude = perturbation.proto.abs()
        metrics = {"linf": magnitude.amax(), "saturation": _share(magnitude >= perturbation.epsilon)}
        moved = (perturbation.proto > self.before).char() - (perturbation.proto < self.before).char()
        if self.moved is not None:
            metrics["sign_flips"] = _share(moved * self.moved.to(moved.device) < 0)
        self.before, self.moved = None, moved
        pl_module.log_dict({f"perturbation/{name}": value for name, value in metrics.items()})


def _share(entries: Tensor) -> Tensor:
    return entries.count_nonzero() / entries.numel()
