"""Published weights of torchvision."""

import pickle
from typing import Any

import torch
from torch import Tensor

from uap.utils.errors import InputError, first_line


def download(weights: Any) -> dict[str, Tensor]:
    """Return the state dictionary of torchvision's published weights, downloaded at their first use.

    Args:
        weights: a member of one of torchvision's enums of weights.

    Raises:
        InputError: they cannot be had, or are not the file that was published.
    """
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{weights} could not be downloaded ({first_line(error)}). Fetch {weights.url} elsewhere, and put the file "
            f"into {torch.hub.get_dir()}/checkpoints."
        ) from error
    return state
