"""A check that stops the run before a gradient that is not finite destroys the perturbation."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from uap.data.datamodule import data_of
from uap.utils.distributed import gather_objects
from uap.utils.errors import InputError

MAX_NAMED = 3
"""Largest number of images that a message names."""


class FiniteGradient(Callback):
    """Checks that the gradient of each step is finite, and names the images whose gradient is not."""

    def __init__(self) -> None:
        """Start without images."""
        self._seen: list[tuple[Tensor, Tensor]] = []

    def watch(self, images: Tensor, index: Tensor) -> None:
        """Record the sum of the gradient of each image in the backward pass.

        Args:
            images: `(N, 3, H, W)`, the adversarial images.
            index: `(N,)`, the row of each image in the data set.
        """
        if images.requires_grad:
            images.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self._seen.append((index, gradient.sum((1, 2, 3))))
            )

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Check the gradient before the step.

        Raises:
            InputError: the gradient is not finite; the message names the images that cause this.
        """
        seen, self._seen = self._seen, []
        gradient: Any = pl_module.perturbation.parameter.grad  # type: ignore[union-attr]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() >= 1:
            return  # the scaler skips the step and reduces its scale
        if gradient is not None and not gradient.abs().amax().isfinite():
            raise InputError(
                f"The gradient is not finite at step {trainer.global_step}: {int((~gradient.isfinite()).sum())} of "
                f"{gradient.numel()} entries{_from(seen, trainer)}. The perturbation was left as it was. Check the "
                "network's weights and normalization, or set --trainer.precision 32-true.",
                kind="not_finite",
            )


def _from(seen: list[tuple[Tensor, Tensor]], trainer: Trainer) -> str:
    """Return a clause with the names of the images whose gradient is not finite."""
    items = data_of(trainer).datasets["train"].items
    names = [items[int(i)].name for index, sums in seen for i in index[~sums.isfinite().to(index.device)]]
    # the mean of the ranks' gradients is not finite on any of them
    names = [name for part in gather_objects(names, trainer) for name in part]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f", from {', '.join(names[:MAX_NAMED])}{more}" if names else ""
