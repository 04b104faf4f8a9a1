"""Progress of a long evaluation in a log."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from uap.universal.callbacks.progress import EpochLines
from uap.utils.progress import time_left


class BatchLines(Callback):
    """Prints a line after every batch of an evaluation, with the remaining time estimated from the last batch.

    It prints nothing on a terminal, which has a progress bar.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        self.shown = any(isinstance(callback, EpochLines) for callback in callbacks)
        self.before = time.monotonic()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Print the line."""
        now, done, total = time.monotonic(), batch_idx + 1, int(trainer.num_val_batches[0])
        left, self.before = (now - self.before) * (total - done), now
        if self.shown:
            end = f", {time_left(left)}" if done < total else ""
            print(f"batch {done} of {total}{end}", flush=True)
