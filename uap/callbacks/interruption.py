"""A run that is told to end: it finishes its step, saves, and ends; nothing is lost."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from uap.run_folder import LAST, is_first


class Interruption(Checkpoint):
    """Ends a run after the step that it is in when SIGTERM or SIGINT comes, with a checkpoint to go on from.

    SIGTERM, which SLURM sends before it takes a machine away, leaves at once after that, with exit code 143. SIGINT
    (Ctrl-C) does what a run does at its end, the table of what was reached among it, and leaves with 130. A signal
    during a validation waits for its end. A second one ends the run on the spot.

    One rank that is told is enough: all agree after every step. Of a step whose gradient is summed over many batches
    the sum so far is in the checkpoint, so that the resumed run ends as if it had not been interrupted.

    It is a checkpoint callback for the place that Lightning gives those: behind all others, the projection among them.
    """

    def __init__(self) -> None:
        """Wait for a signal."""
        self.received = 0
        self._waits = self._saved = False
        self._step = 0
        self._summed: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning, which gives them back itself when the run ends."""
        if threading.current_thread() is threading.main_thread():  # no other may
            signal.signal(signal.SIGTERM, self._note)
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received or not self._waits:
            raise SystemExit(128 + number)
        self.received = number
        if is_first():
            name = signal.Signals(number).name
            print(f"\n{name}: the run saves and ends after this step. A second one ends it at once.", flush=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the gradients that are summed but not stepped by yet."""
        return {"summed": self._summed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the gradients of the run that was cut off."""
        self._summed = state_dict["summed"]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """End here if the run was saved, when its last step is logged too.

        In the first batch put the gradients of the run that was cut off where the next ones are added to them.
        """
        if self._saved:
            self._end(trainer, pl_module)
        self._step, self._waits = trainer.global_step, True
        for parameter, gradient in zip(_learnt(pl_module), self._summed, strict=False):
            parameter.grad = gradient.to(parameter.device)
        self._summed = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if the run is to end, unless an epoch ends here, which is saved when its validation is over."""
        if trainer.is_last_batch or not _any(trainer, self.received != 0):
            return
        if trainer.global_step == self._step:
            gradients = [parameter.grad for parameter in _learnt(pl_module) if parameter.grad is not None]
            self._summed = [_mean(trainer, gradient) for gradient in gradients]
        trainer.save_checkpoint(Path(trainer.default_root_dir) / LAST)
        self._saved = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End between two epochs, which `last.ckpt` is of; what comes now need not be waited for."""
        self._waits = False
        if _any(trainer, self.received != 0):
            self._end(trainer, pl_module)

    def _end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._waits = False
        is_interrupt = _any(trainer, self.received == signal.SIGINT)
        if is_interrupt:
            self.received = 0  # another one ends it
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if callback is not self and not isinstance(callback, Checkpoint):
                    callback.on_train_end(trainer, pl_module)
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir)
            print(
                f"\nstopped after {trainer.global_step} steps; go on with --config {folder / 'config.yaml'} "
                f"--ckpt_path {folder / LAST}",
                flush=True,
            )
        raise SystemExit(128 + (signal.SIGINT if is_interrupt else signal.SIGTERM))


def _learnt(module: LightningModule) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _any(trainer: Trainer, flag: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(flag, all=False)


def _mean(trainer: Trainer, gradient: Tensor) -> Tensor:
    """Return the mean over ranks of what each has summed: with it in each rank's place the sum goes on exactly."""
    mean: Tensor = trainer.strategy.reduce(gradient.clone(), reduce_op="mean")
    return mean.cpu()
