"""The constraint of the attack."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from uap.utils.errors import InputError


class ProjectToEpsilon(Callback):
    """Clips the perturbation to epsilon after every step, before any other callback and any checkpoint sees it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Go before all other callbacks; Lightning appends what a module brings."""
        others = [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]
        trainer.callbacks = [self, *others]  # type: ignore[attr-defined]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Clip; idempotent, so steps that accumulate do no harm.

        Raises:
            InputError: the step left something that is no number, which no clipping mends.
        """
        pl_module.perturbation.project_(pl_module.bound())  # type: ignore[union-attr, operator]
        learned: Any = pl_module.perturbation.parameter  # type: ignore[union-attr]
        if not learned.abs().amax().isfinite():  # a look at every entry takes eight times as long
            raise InputError(
                f"Step {trainer.global_step} left {int((~learned.isfinite()).sum())} of {learned.numel()} entries of "
                "the perturbation that are no numbers. Check the settings of model.optimizer, such as lr and eps."
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clip to epsilon: a run that ends early may still have a larger bound."""
        pl_module.perturbation.project_(pl_module.perturbation.epsilon)  # type: ignore[union-attr, operator]
