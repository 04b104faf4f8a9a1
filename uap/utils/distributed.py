"""What the processes of a run tell each other beside gradients."""

from collections.abc import Callable
from typing import TypeVar

import torch
from pytorch_lightning import Trainer

from uap.utils.errors import InputError

T = TypeVar("T")


def from_all(value: T, trainer: Trainer) -> list[T]:
    """Return what every process has for `value`, by rank; each waits for the last one."""
    if trainer.world_size == 1:
        return [value]
    found: list[T] = [value] * trainer.world_size
    torch.distributed.all_gather_object(found, value)
    return found


def together(do: Callable[[], T], trainer: Trainer) -> list[T]:
    """Return what comes of doing something in every process, by rank; each waits for the last one.

    Raises:
        InputError: one of them had to refuse: the same sentence in all, so that none waits for one that is gone.
    """
    done: list[T] = []
    refusal = ""
    try:
        done.append(do())
    except InputError as error:
        refusal = str(error)
    shares = from_all((done, refusal), trainer)
    for _, found in shares:
        if found:
            raise InputError(found)
    return [value for made, _ in shares for value in made]
