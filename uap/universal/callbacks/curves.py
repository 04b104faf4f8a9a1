"""How the perturbation moves, step by step."""

from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from uap.universal.module import UniversalAttack


class PerturbationCurves(Callback):
    """Logs three figures of the perturbation after every step of the optimizer.

    `perturbation/linf` is the largest absolute entry, in grey levels: the epsilon that is reached.
    `perturbation/saturation` is the share of the entries that are at -epsilon or epsilon.
    `perturbation/sign_flips` is the share of the entries that moved against their move in the step before, from the
    second step on. What counts is the move after clipping: an entry that epsilon holds in its place does not move.
    """

    def __init__(self) -> None:
        """Know of no step."""
        self.before: Tensor | None = None
        self.moved: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the last step's moves as signs, int8 (3, h, w), with which a resumed run continues."""
        return {"moved": None if self.moved is None else self.moved.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the run that is resumed."""
        self.moved = state_dict["moved"]

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Remember the perturbation; batches that only accumulate their gradient do not come here."""
        self.before = cast(UniversalAttack, pl_module).perturbation.proto.detach().clone()

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the step that was taken, if one was."""
        if self.before is None:
            return
        perturbation = cast(UniversalAttack, pl_module).perturbation
        magnitude = perturbation.proto.abs()
        figures = {"linf": magnitude.amax(), "saturation": _share(magnitude >= perturbation.epsilon)}
        moved = (perturbation.proto > self.before).char() - (perturbation.proto < self.before).char()
        if self.moved is not None:
            figures["sign_flips"] = _share(moved * self.moved.to(moved.device) < 0)
        self.before, self.moved = None, moved
        pl_module.log_dict({f"perturbation/{name}": value for name, value in figures.items()})


def _share(entries: Tensor) -> Tensor:
    return entries.count_nonzero() / entries.numel()
