"""A gradient that is not finite stops the run before it destroys the perturbation."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from uap.data.datamodule import data_of
from uap.utils.distributed import gather_objects
from uap.utils.errors import InputError

NAMED = 3
"""So many images are named."""


class FiniteGradient(Callback):
    """Checks the gradient of each step, and keeps of each image whether its part is finite, to name it."""

    def __init__(self) -> None:
        """Have seen no image."""
        self._seen: list[tuple[Tensor, Tensor]] = []

    def watch(self, images: Tensor, index: Tensor) -> None:
        """Note what comes back to images `(N, 3, H, W)`, with their places in the data `(N,)`: one number for each."""
        if images.requires_grad:
            images.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self._seen.append((index, gradient.sum((1, 2, 3))))
            )

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Stop before a step that would destroy the perturbation.

        Raises:
            InputError: the gradient is not finite; the message names the images that it comes from.
        """
        seen, self._seen = self._seen, []
        gradient: Any = pl_module.perturbation.parameter.grad  # type: ignore[union-attr]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() >= 1:
            return  # it skips the step, and scales less from then on
        if gradient is not None and not gradient.abs().amax().isfinite():
            raise InputError(
                f"The gradient is not finite at step {trainer.global_step}: {int((~gradient.isfinite()).sum())} of "
                f"{gradient.numel()} entries{_from(seen, trainer)}. The perturbation was left as it was. Check the "
                "network's weights and normalization, or set --trainer.precision 32-true."
            )


def _from(seen: list[tuple[Tensor, Tensor]], trainer: Trainer) -> str:
    """Return the names of the images whose gradient is not finite, as part of a sentence."""
    items = data_of(trainer).datasets["train"].items
    names = [items[int(i)].name for index, sums in seen for i in index[~sums.isfinite().to(index.device)]]
    # the mean of the ranks' gradients is not finite on any of them
    names = [name for part in gather_objects(names, trainer) for name in part]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f", from {', '.join(names[:NAMED])}{more}" if names else ""
