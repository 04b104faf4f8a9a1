"""Published weights of torchvision."""

import pickle
from typing import Any

import torch
from torch import Tensor

from uap.utils.errors import InputError, first_line


def download(weights: Any) -> dict[str, Tensor]:
    """Return the state dictionary of published weights of torchvision; the file is downloaded at the first use.

    Args:
        weights: a member of a weights enum of torchvision.

    Raises:
        InputError: the download failed, or the hash of the file is wrong.
    """
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{weights} could not be downloaded ({first_line(error)}). Download {weights.url} on another machine, and "
            f"put the file into {torch.hub.get_dir()}/checkpoints.",
            kind="missing_file",
        ) from error
    return state
