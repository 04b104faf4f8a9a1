"""How far a run is: a bar on a terminal, a line per epoch in a log."""

import sys
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar

from uap.utils.progress import is_quiet, time_left


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, with the time left, without the run's id."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what stands behind the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class EpochLines(Callback):
    """Prints a line after every epoch: figures, and the time left at the pace so far."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.start, self.first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line; the epoch's validation is over."""
        if not trainer.is_global_zero:
            return
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        figures = [f"{name} {float(value):.3f}" for name, value in trainer.progress_bar_metrics.items()]
        left = (time.monotonic() - self.start) / (done - self.first) * (total - done)
        if total > done:
            figures.append(time_left(left))
        print(f"epoch {done} of {total}: {', '.join([f'step {trainer.global_step}', *figures])}", flush=True)


def progress_callbacks() -> list[Callback]:
    """Return what shows the progress of a run here."""
    if is_quiet():
        return []
    return [ProgressBar() if sys.stdout.isatty() else EpochLines()]
