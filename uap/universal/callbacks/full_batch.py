"""The paper's gradient: one step for each pass over all images."""

import sys

from pytorch_lightning import Callback, LightningModule, Trainer


class FullBatchGradient(Callback):
    """Accumulates the gradient over all batches of an epoch, so that an epoch is one step (Metzen et al., sec. 3.3).

    Exact on any number of ranks and for any batch size: an image's share of the gradient does not depend on its batch.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Count one step per epoch while schedules are made: an epoch's last batch always steps."""
        trainer.accumulate_grad_batches = sys.maxsize

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Accumulate over the epoch's batches, now that their number is known: Lightning divides the loss by it."""
        trainer.accumulate_grad_batches = int(trainer.num_training_batches)
