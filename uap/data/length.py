"""How long a run is, and how far it has come."""

import math
from typing import Any

from pytorch_lightning import Trainer

from uap.utils.errors import InputError


def begun(trainer: Trainer) -> tuple[int, int]:
    """Return the epoch that a run is in, from 0, and how many batches of it are done; of a resumed run where it was."""
    loop: Any = trainer.fit_loop  # Lightning's types leave out what its trackers have
    batches = loop.epoch_loop.batch_progress
    return loop.epoch_progress.current.processed, 0 if batches.is_last_batch else batches.current.processed


def limited(batches: int, limit: int | float) -> int:
    """Return how many of so many batches a limit of the trainer leaves: a number, or a fraction of them."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def total_steps(trainer: Trainer) -> int:
    """Return how many optimizer steps a whole run has, of which a resumed one has taken some already.

    Lightning's own count starts the workers, before a resumed run knows which images are next.

    Raises:
        InputError: the run has no end, or accumulates no batch.
    """
    epochs, most = trainer.max_epochs, trainer.max_steps
    if trainer.accumulate_grad_batches < 1:
        raise InputError(
            f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}, expected 1 or more batches."
        )
    if trainer.check_val_every_n_epoch == 0:
        raise InputError(
            f"trainer.check_val_every_n_epoch is {trainer.check_val_every_n_epoch}, expected 1 or more epochs."
        )
    if epochs is None or epochs == -1:
        if most == -1:
            raise InputError(
                "trainer.max_epochs is -1, but the schedule has to know how long the run is. Set --trainer.max_epochs "
                "or --trainer.max_steps; --trainer.max_time may end it before."
            )
        return most
    limit, data = trainer.limit_train_batches, trainer.datamodule  # type: ignore[attr-defined]
    batches = limited(len(data.train_dataloader()), limit)
    steps = math.ceil(batches / trainer.accumulate_grad_batches) * max(epochs, 1)
    return steps if most == -1 else min(steps, most)
