"""The projection of the perturbation to its bound."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from uap.utils.errors import InputError


class ProjectToEpsilon(Callback):
    """Clips the perturbation to epsilon after every step, before other callbacks and checkpoints use it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Move this callback to the front of the list; Lightning appends the callbacks of a module."""
        others = [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]
        trainer.callbacks = [self, *others]  # type: ignore[attr-defined]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Clip the perturbation, also after batches that only accumulate gradients, which has no effect.

        Raises:
            InputError: the perturbation has entries that are not finite.
        """
        pl_module.perturbation.project_(pl_module.bound())  # type: ignore[union-attr, operator]
        learned: Any = pl_module.perturbation.parameter  # type: ignore[union-attr]
        if not learned.abs().amax().isfinite():  # checking each entry takes eight times as long
            raise InputError(
                f"Step {trainer.global_step} left {int((~learned.isfinite()).sum())} of {learned.numel()} entries of "
                "the perturbation that are not finite. Check the settings of model.optimizer, such as lr and eps.",
                setting="model.optimizer",
                kind="not_finite",
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clip to epsilon, because a run that ends early may still have a larger bound."""
        pl_module.perturbation.project_(pl_module.perturbation.epsilon)  # type: ignore[union-attr, operator]
