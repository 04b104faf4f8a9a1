"""Progress of a run: a bar on a terminal, a line per epoch in a log."""

import sys
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar

from uap.utils.progress import is_quiet, time_left


class ProgressBar(TQDMProgressBar):
    """The progress bar of Lightning without the version number of the run."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return the metrics to the right of the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class EpochLines(Callback):
    """Prints a line after every epoch with metrics and the estimated remaining time."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.start, self.first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line after the validation of the epoch."""
        if not trainer.is_global_zero:
            return
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        shown = [f"{name} {float(value):.3f}" for name, value in trainer.progress_bar_metrics.items()]
        left = (time.monotonic() - self.start) / (done - self.first) * (total - done)
        if total > done:
            shown.append(time_left(left))
        print(f"epoch {done} of {total}: {', '.join([f'step {trainer.global_step}', *shown])}", flush=True)


def progress_callbacks() -> list[Callback]:
    """Return the callbacks that show the progress of a run, or none in quiet mode."""
    if is_quiet():
        return []
    return [ProgressBar() if sys.stdout.isatty() else EpochLines()]
