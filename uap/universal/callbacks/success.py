"""The metrics of the attack on the scored images after every validation."""

from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from uap.data.datamodule import data_of
from uap.metrics.breakdown import Breakdown
from uap.metrics.names import RATES, overall
from uap.metrics.scores import Scores
from uap.universal.attack_module import AttackModule


class SuccessMetrics(Callback):
    """Scores the 8-bit adversarial images of the validation and logs the metrics.

    Attributes:
        scores: the metrics of the last validation.
        breakdown: its counts by class and by object size; None for a validation during a fit.
    """

    def __init__(self) -> None:
        """Start without scores."""
        self.scores: Scores
        self.breakdown: Breakdown | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start without images."""
        attack = cast(AttackModule, pl_module)
        is_final = trainer.state.fn != TrainerFn.FITTING
        self.scores = scores_of(attack, is_final=is_final)
        self.breakdown = breakdown_of(attack) if is_final else None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the outcome of a batch."""
        self.scores.update(outputs["outcome"])
        if self.breakdown is not None:
            self.breakdown.update(outputs["outcome"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the metrics, and `score`, by which the best checkpoint is selected."""
        prefix = data_of(trainer).split
        found = self.scores.compute()
        for name, value in found.items():
            pl_module.log(f"{prefix}/{name}", value, prog_bar=name in RATES)
        pl_module.log("score", overall({name: found[name] for name in RATES if name in found}))


def scores_of(attack: AttackModule, *, is_final: bool) -> Scores:
    """Return empty scores of an attack.

    Args:
        attack: the attack.
        is_final: whether to measure the change of images, which is slow.
    """
    return Scores(attack.objective, len(attack.victim.table), attack.device, perceptibility=is_final)


def breakdown_of(attack: AttackModule) -> Breakdown:
    """Return an empty breakdown of an attack."""
    return Breakdown(attack.objective, attack.victim.table.names, attack.device)
