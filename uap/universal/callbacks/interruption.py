"""A run that is told to end: it finishes its step, saves, and ends; nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from uap.utils.errors import InputError
from uap.utils.run_folder import LAST, is_local_rank_zero, remove_empty_run_folder, resume_arguments, resume_hint
from uap.utils.slurm import requeue

SIGNALS = (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM)
"""The signals that end a run; where processes were sent different ones, the first of these counts."""


class Interruption(Checkpoint):
    """Ends a run after the step that it is in when a signal comes, with a checkpoint to go on from.

    SIGTERM, which SLURM sends before it takes a machine away, leaves at once after that, with exit code 143. So does
    SIGUSR1, which SLURM users have sent some time before that (`--signal=USR1@300`), with 138; under SLURM it queues
    the job again. SIGINT (Ctrl-C) does what a run does at its end, the table of what was reached among it, and leaves
    with 130. A signal during a validation waits for its end. A second one ends the run on the spot.

    One rank that is told is enough: all agree after every step. Of a step whose gradient is summed over many batches
    the sum so far is in the checkpoint, so that the resumed run ends as if it had not been interrupted.

    It is a checkpoint callback for the place that Lightning gives those: behind all others, the projection among them.
    """

    def __init__(self) -> None:
        """Wait for a signal."""
        self.received = 0
        self._waits = self._saved = False
        self._step = 0
        self._summed: list[Tensor | None] = []
        self._ranks = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning, which gives them back itself when the run ends."""
        self._waits = True
        if threading.current_thread() is threading.main_thread():  # no other may
            take_signals(self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received or not self._waits:
            end_at_once(number, frame)
        self.received = number
        if is_local_rank_zero():
            _say(
                f"{signal.Signals(number).name}: the run saves and ends after this step. A second one ends it at once."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the gradients that are summed but not stepped by yet; of a part of an epoch how many shared it."""
        return {"summed": self._summed, "ranks": self._ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the gradients of the run that was cut off."""
        self._summed = state_dict["summed"]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """End here if the run was saved, when its last step is logged too.

        In the first batch put the gradients of the run that was cut off where the next ones are added to them.
        """
        if self._saved:
            self._end(trainer, pl_module)
        self._step = trainer.global_step
        for parameter, gradient in zip(_learned(pl_module), self._summed, strict=False):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
        self._summed = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if the run is to end, unless an epoch ends here, which is saved when its validation is over."""
        if trainer.is_last_batch or not _any(trainer, self.received != 0):
            return
        if trainer.global_step == self._step:
            self._summed = [_mean(trainer, parameter.grad) for parameter in _learned(pl_module)]
        self._ranks = trainer.world_size
        trainer.save_checkpoint(Path(trainer.default_root_dir) / LAST)
        self._saved = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End between two epochs, which `last.ckpt` is of; what comes after the last one need not be waited for."""
        if _any(trainer, self.received != 0):
            self._end(trainer, pl_module)
        self._waits = not _is_over(trainer)

    def _end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._waits = False
        number = next((number for number in SIGNALS if _any(trainer, self.received == number)), signal.SIGTERM)
        if number == signal.SIGINT:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if callback is not self and not isinstance(callback, Checkpoint):
                    callback.on_train_end(trainer, pl_module)
        if trainer.is_global_zero:
            again = resume_arguments(Path(trainer.default_root_dir))
            _say(f"stopped after {trainer.global_step} steps; go on with {again}")
            _queue_again(number)
        # rank 0 speaks for all: Lightning kills it, which may still be writing, where another one fails
        raise SystemExit(0 if trainer.global_rank else 128 + number)


def take_signals(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Let a handler have the signals that end a run; return their handlers before.

    Lightning has a handler of its own for SIGUSR1 under SLURM, which saves another checkpoint than the run's and lets
    the run go on; it leaves the signal to a handler that is there before, and one that comes later replaces it.

    A shell lets what it runs in the background ignore Ctrl-C: that stays ignored.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    taken = {number: found for number, found in before.items() if found not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, handler)
    return taken


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End on the spot at a signal, and say how to go on where there is a checkpoint."""
    if parent_process() is None and is_local_rank_zero():
        remove_empty_run_folder()
        _say(f"{signal.Signals(number).name}: ended at once.{resume_hint()}")
        _queue_again(number)
    raise SystemExit(128 + number)


def _queue_again(number: int) -> None:
    """Let SLURM queue the job again if that is what the signal is for, and say so."""
    said = requeue() if number == signal.SIGUSR1 else ""
    if said:
        _say(said)


def check_processes(checkpoint: dict[str, Any], processes: int) -> None:
    """Check that a checkpoint from within an epoch is resumed by as many processes as shared the epoch's images.

    Raises:
        InputError: there were more, or fewer.
    """
    shared = checkpoint.get("callbacks", {}).get(Interruption.__qualname__, {}).get("ranks", 0)
    if shared not in (0, processes):
        raise InputError(
            f"The checkpoint is from within an epoch of {shared} processes, here there are {processes}. Resume with as "
            "many, or from a checkpoint of the end of an epoch, such as best.ckpt."
        )


def _learned(module: LightningModule) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _any(trainer: Trainer, flag: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(flag, all=False)


def _is_over(trainer: Trainer) -> bool:
    """Return whether the epoch that ends is the run's last."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    last = epochs not in (None, -1) and trainer.current_epoch + 1 >= (epochs or 0)
    return trainer.should_stop or last or (steps != -1 and trainer.global_step >= steps)


def _say(text: str) -> None:
    """Print a line if there is one, and anybody listens: `tee` dies of the same Ctrl-C."""
    with contextlib.suppress(OSError, RuntimeError):
        print(f"\n{text}", flush=True)


def _mean(trainer: Trainer, gradient: Tensor | None) -> Tensor | None:
    """Return the mean over ranks of what each has summed: with it in each rank's place the sum goes on exactly."""
    if gradient is None:
        return None
    mean: Tensor = trainer.strategy.reduce(gradient.clone(), reduce_op="mean")
    return mean.cpu()
