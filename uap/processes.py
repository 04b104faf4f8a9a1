"""What the processes of a run tell each other beside gradients."""

from typing import TypeVar

import torch
from pytorch_lightning import Trainer

T = TypeVar("T")


def from_all(value: T, trainer: Trainer) -> list[T]:
    """Return what every process has for `value`, by rank; each waits for the last one."""
    if trainer.world_size == 1:
        return [value]
    found: list[T] = [value] * trainer.world_size
    torch.distributed.all_gather_object(found, value)
    return found
