"""Full-batch gradients: one step per epoch, as in the paper."""

import sys

from pytorch_lightning import Callback, LightningModule, Trainer


class FullBatchGradient(Callback):
    """Accumulates the gradient over all batches of an epoch, so that an epoch is one step (Metzen et al., sec. 3.3).

    The step does not depend on the number of ranks or on the batch size, because every image has the same weight.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set the accumulation to a number above that of batches, so that schedules count one step per epoch."""
        trainer.accumulate_grad_batches = sys.maxsize

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the accumulation to the number of batches, which is now known: Lightning divides the loss by it."""
        trainer.accumulate_grad_batches = int(trainer.num_training_batches)
