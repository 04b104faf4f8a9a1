"""Exchange of Python objects and errors between the processes of a run."""

from collections.abc import Callable
from typing import TypeVar

import torch
from pytorch_lightning import Trainer

from uap.utils.errors import InputError

T = TypeVar("T")


def gather_objects(value: T, trainer: Trainer) -> list[T]:
    """Return the `value` of every process, ordered by rank; every process must call it."""
    if trainer.world_size == 1:
        return [value]
    found: list[T] = [value] * trainer.world_size
    torch.distributed.all_gather_object(found, value)
    return found


def run_on_all_ranks(function: Callable[[], T], trainer: Trainer) -> list[T]:
    """Call `function` in every process and return the results, ordered by rank; every process must call it.

    Raises:
        InputError: `function` raised one in some process. Every process then raises it with the same message, so that
            none waits for a process that has ended.
    """
    own: list[T] = []
    failure: InputError | None = None
    try:
        own.append(function())
    except InputError as error:
        failure = error
    gathered = gather_objects((own, failure), trainer)
    for _, raised in gathered:
        if raised is not None:
            raise raised
    return [value for values, _ in gathered for value in values]
