"""Files that torch saved, read as data and never as code."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uap.errors import InputError

_scalar = np.float64(0).__reduce__()[0]
NUMPY_NUMBER: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
]
"""What NumPy's float is made of in a pickle: many publish it beside the weights, as the score that they reached."""


def safe_load(path: Path) -> object:
    """Read tensors, numbers, strings and containers of them onto the CPU; anything else in the file is not executed.

    Raises:
        InputError: no such file, or it is damaged, or it asks to run code.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}. Check the path.")
    try:
        with torch.serialization.safe_globals(NUMPY_NUMBER):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is damaged or asks to run code when it is loaded, and was not loaded. Download or save it again, "
            "as tensors and numbers alone: a network's as `torch.save(network.state_dict(), path)`, where you trust it."
        ) from error
    except Exception as error:  # a damaged file makes the reader raise anything, struct.error and IndexError included
        reason = f" ({error})" if " " in str(error) else ""  # else it is a byte of the file
        raise InputError(f"{path} cannot be read{reason}. It is damaged: download or save it again.") from error
