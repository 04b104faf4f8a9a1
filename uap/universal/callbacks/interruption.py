"""Interruption by a signal: a run finishes its step, saves a checkpoint, and ends."""

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
"""The signals that end a run, by priority if processes received different ones."""


class Interruption(Checkpoint):
    """Ends a run after the current batch if it receives a signal, and saves a checkpoint from which it can be resumed.

    After SIGTERM, which SLURM sends before it ends a job, the run exits with code 143. After SIGUSR1, which SLURM can
    send earlier (`--signal=USR1@300`), it exits with code 138, and under SLURM it queues the job again. After SIGINT
    (Ctrl-C), it first writes and prints the results so far, and exits with code 130. A signal during a validation takes
    effect at its end. A second signal ends the run immediately.

    A signal to one rank ends all ranks. If a gradient is accumulated over several batches, the checkpoint contains the
    partial sum, so that the resumed run has the same result as one without an interruption.

    The class is a `Checkpoint`, because Lightning calls checkpoint callbacks after all others, such as the projection.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.received = 0
        self._waits = self._saved = False
        self._step = 0
        self._summed: list[Tensor | None] = []
        self._ranks = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace the signal handlers; Lightning restores them when the run ends."""
        self._waits = True
        if threading.current_thread() is threading.main_thread():  # others cannot set handlers
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
        """Return the accumulated gradients before their step, and within an epoch the number of ranks."""
        return {"summed": self._summed, "ranks": self._ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the accumulated gradients of the interrupted run."""
        self._summed = state_dict["summed"]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """End the run if its checkpoint was saved; by now, its last step is logged.

        In the first batch of a resumed run, restore the accumulated gradients, to which the next ones are added.
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
        """Save a checkpoint if the run is to end; at the end of an epoch, it is saved after the validation."""
        if trainer.is_last_batch or not _any(trainer, self.received != 0):
            return
        if trainer.global_step == self._step:
            self._summed = [_mean(trainer, parameter.grad) for parameter in _learned(pl_module)]
        self._ranks = trainer.world_size
        trainer.save_checkpoint(Path(trainer.default_root_dir) / LAST)
        self._saved = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run between two epochs, where `last.ckpt` is up to date; after the last, signals end it at once."""
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
            _say(f"stopped after {trainer.global_step} steps; continue with {again}")
            _queue_again(number)
        # only rank 0 has a nonzero exit code: if another rank fails, Lightning kills rank 0, which may be writing files
        raise SystemExit(0 if trainer.global_rank else 128 + number)


def take_signals(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Set the handler of the signals that end a run, and return their previous handlers.

    Under SLURM, Lightning has its own handler for SIGUSR1, which saves a different checkpoint and continues the run.
    Lightning keeps an earlier handler, and a later handler replaces that of Lightning.

    A signal that is ignored stays ignored, because shells let background processes ignore Ctrl-C.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    taken = {number: found for number, found in before.items() if found not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, handler)
    return taken


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End the process immediately after a signal, and print how to resume the run if it has a checkpoint."""
    if parent_process() is None and is_local_rank_zero():
        remove_empty_run_folder()
        _say(f"{signal.Signals(number).name}: ended at once.{resume_hint()}")
        _queue_again(number)
    raise SystemExit(128 + number)


def _queue_again(number: int) -> None:
    """Let SLURM queue the job again after SIGUSR1, and print this."""
    said = requeue() if number == signal.SIGUSR1 else ""
    if said:
        _say(said)


def check_processes(checkpoint: dict[str, Any], processes: int) -> None:
    """Check that a checkpoint from within an epoch is resumed with the same number of processes.

    Raises:
        InputError: the number of processes differs.
    """
    shared = checkpoint.get("callbacks", {}).get(Interruption.__qualname__, {}).get("ranks", 0)
    if shared not in (0, processes):
        raise InputError(
            f"The checkpoint is from within an epoch of {shared} processes, here there are {processes}. Resume with "
            f"{shared} processes, or from a checkpoint of the end of an epoch, such as best.ckpt.",
            kind="conflict",
        )


def _learned(module: LightningModule) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _any(trainer: Trainer, flag: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(flag, all=False)


def _is_over(trainer: Trainer) -> bool:
    """Return whether the current epoch is the last one of the run."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    last = epochs not in (None, -1) and trainer.current_epoch + 1 >= (epochs or 0)
    return trainer.should_stop or last or (steps != -1 and trainer.global_step >= steps)


def _say(text: str) -> None:
    """Print a line, and ignore a closed output: Ctrl-C also ends a `tee` behind the run."""
    with contextlib.suppress(OSError, RuntimeError):
        print(f"\n{text}", flush=True)


def _mean(trainer: Trainer, gradient: Tensor | None) -> Tensor | None:
    """Return the mean over ranks of an accumulated gradient; a resumed run continues exactly with it on every rank."""
    if gradient is None:
        return None
    mean: Tensor = trainer.strategy.reduce(gradient.clone(), reduce_op="mean")
    return mean.cpu()
