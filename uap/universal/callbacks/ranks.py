"""Checks of several processes: that their perturbations are equal, and which of them has ended."""

import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from uap.utils.distributed import gather_objects
from uap.utils.run_folder import LAST, resume_arguments

PATIENCE = 2.0
"""Seconds to wait for the exit code of another process."""

OBSERVER = "lightning_fabric.strategies.launchers.subprocess_script"
"""The logger of Lightning's thread that kills all processes, this one too, within 5 seconds after one has failed."""


class RanksDifferError(RuntimeError):
    """The ranks have different perturbations, which no configuration can cause."""


class Ranks(Callback):
    """Checks after every epoch, before the checkpoint, that all ranks have the same perturbation bit for bit.

    If a rank has ended, the next communication of the others fails and ends the run, or Lightning kills the others.
    The callback names that rank in both cases.
    """

    def __init__(self) -> None:
        """Nothing has ended yet."""
        self._before_kill: logging.Handler | None = None
        self._is_named = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name an ended rank before Lightning's thread kills this process, which leaves no other time to do so."""
        if getattr(trainer.strategy.launcher, "procs", []):
            self._before_kill = _Call(lambda: self._name(trainer))
            logging.getLogger(OBSERVER).addHandler(self._before_kill)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop listening to Lightning's thread."""
        if self._before_kill is not None:
            logging.getLogger(OBSERVER).removeHandler(self._before_kill)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare a hash of the perturbation over the ranks.

        Raises:
            RanksDifferError: the perturbations differ.
        """
        if trainer.world_size == 1:
            return
        learned: Any = pl_module.perturbation.parameter  # type: ignore[union-attr]
        hashes = gather_objects(_digest(learned), trainer)
        differing = [rank for rank, found in enumerate(hashes) if found != hashes[0]]
        if differing:
            raise RanksDifferError(
                f"After epoch {trainer.current_epoch} rank {', '.join(map(str, differing))} has another perturbation "
                f"than rank 0. The last checkpoint is of the epoch before: {Path(trainer.default_root_dir) / LAST}."
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Name the rank that has ended, if this has ended the run.

        Raises:
            SystemExit: with exit code 1, instead of the error of the communication.
        """
        is_exchange = isinstance(exception, RuntimeError) and not isinstance(exception, RanksDifferError)
        if trainer.world_size > 1 and is_exchange and self._name(trainer):
            raise SystemExit(1) from exception

    def _name(self, trainer: Trainer) -> bool:
        """Print which rank has ended, once. Returns whether one has."""
        gone = _gone(trainer)
        if gone and not self._is_named:
            self._is_named = True
            again = resume_arguments(Path(trainer.default_root_dir))
            print(f"error: {gone}, which has ended the run. Continue with {again}", file=sys.stderr, flush=True)
        return bool(gone)


class _Call(logging.Handler):
    """Calls a function for each message of a logger."""

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__()
        self._function = function

    def emit(self, record: logging.LogRecord) -> None:
        self._function()


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def _gone(trainer: Trainer) -> str:
    """Return a clause that names an ended rank of this node and its exit code; empty if there is none."""
    started = getattr(trainer.strategy.launcher, "procs", [])
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for rank, process in enumerate(started, 1):
            code = process.poll()
            if code is not None and code < 0:
                return f"rank {rank} was ended by {signal.Signals(-code).name}"
            if code:
                return f"rank {rank} ended with exit code {code}"
        if not started and trainer.local_rank and os.getppid() == 1:
            return "rank 0 has ended"
        time.sleep(0.05)
    return ""
