"""The number of steps of a run, and its current position."""

import math
from typing import Any

from pytorch_lightning import Trainer

from uap.utils.errors import InputError


def position(trainer: Trainer) -> tuple[int, int]:
    """Return the current epoch of a run, from 0, and the number of its finished batches, also for a resumed run."""
    loop: Any = trainer.fit_loop  # the type hints of Lightning lack these attributes
    batches = loop.epoch_loop.batch_progress
    return loop.epoch_progress.current.processed, 0 if batches.is_last_batch else batches.current.processed


def limited(batches: int, limit: int | float) -> int:
    """Return the number of batches under a limit of the trainer: an int is a number, a float a fraction of batches."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def total_steps(trainer: Trainer) -> int:
    """Return the number of optimizer steps of a whole run, including the steps before it was resumed.

    `trainer.estimated_stepping_batches` is not used: it starts the workers before the position of a resumed run is
    known.

    Raises:
        InputError: the run has no end, or a number of batches or epochs is below 1.
    """
    epochs, most = trainer.max_epochs, trainer.max_steps
    if trainer.accumulate_grad_batches < 1:
        raise InputError(
            f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}, expected 1 or more batches.",
            setting="trainer.accumulate_grad_batches",
            kind="out_of_range",
        )
    if trainer.check_val_every_n_epoch == 0:
        raise InputError(
            f"trainer.check_val_every_n_epoch is {trainer.check_val_every_n_epoch}, expected 1 or more epochs.",
            setting="trainer.check_val_every_n_epoch",
            kind="out_of_range",
        )
    if epochs is None or epochs == -1:
        if most == -1:
            raise InputError(
                "trainer.max_epochs is -1, but the schedule needs the length of the run. Set --trainer.max_epochs "
                "or --trainer.max_steps; --trainer.max_time can end the run earlier.",
                setting="trainer.max_epochs",
                kind="out_of_range",
            )
        return most
    limit, data = trainer.limit_train_batches, trainer.datamodule  # type: ignore[attr-defined]
    batches = limited(len(data.train_dataloader()), limit)
    steps = math.ceil(batches / trainer.accumulate_grad_batches) * max(epochs, 1)
    return steps if most == -1 else min(steps, most)
