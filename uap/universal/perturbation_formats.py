"""Perturbations in checkpoints, and in arrays of other projects."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from uap.universal.checkpoints import IDENTITY, read_checkpoint
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import load_perturbation
from uap.utils.errors import InputError
from uap.utils.paths import check_file
from uap.utils.safe_load import safe_load

Unit = Literal["grey-levels", "0-to-1"]
"""The unit of an array: grey levels (0 to 255), or the scale from 0 to 1."""

CHECKPOINTS = (".ckpt",)
ARRAYS = (".npy", ".pt", ".pth", ".png")

NO_CHANGE = 128
"""The entry of an unsigned array, such as an image, that means no change."""

ROUNDING = 1e-3
"""Grey levels by which an array may exceed epsilon through rounding, for example 8 / 255 in float32 times 255."""


def read_perturbation(
    path: str | Path, unit: Unit | None = None, epsilon: float | None = None
) -> tuple[Perturbation, dict[str, str]]:
    """Read a perturbation and its metadata from a file of a run, a checkpoint, or an array of another project.

    Args:
        path: a safetensors file of a run, a `.ckpt` file, or an RGB array `(3, H, W)`, `(H, W, 3)` or `(1, 3, H, W)`:
            `.npy`, `.pt` or `.pth` with a tensor, or `.png`, where 128 is no change.
        unit: unit of an array; None for other files.
        epsilon: epsilon of an array, always in grey levels; None for other files.

    Raises:
        InputError: the file does not exist, or contains no perturbation within its epsilon; or unit and epsilon are
            missing for an array, or given for another file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(Path(folder, "delta.npy"), np.full((3, 4, 6), 8 / 255, np.float32))
        ...     perturbation, _ = read_perturbation(Path(folder, "delta.npy"), unit="0-to-1", epsilon=8)
        >>> perturbation.proto.detach().unique().round().tolist()
        [8.0]
    """
    path = Path(path)
    if path.suffix.lower() in ARRAYS:
        check_file(path, "perturbation")
        if unit is None or epsilon is None:
            raise InputError(
                f"{path} is an array, which contains neither its unit nor its epsilon. Give --unit grey-levels (0 to "
                "255) or --unit 0-to-1, and --epsilon in grey levels, such as --epsilon 8.",
                setting="unit",
                kind="missing_setting",
            )
        return _of_array(path, unit, epsilon)
    if unit is not None or epsilon is not None:
        raise InputError(
            f"--unit and --epsilon are for arrays ({', '.join(ARRAYS)}); {path} has its own. Leave both out.",
            kind="conflict",
        )
    return _of_checkpoint(path) if path.suffix in CHECKPOINTS else load_perturbation(path)


def _of_checkpoint(path: Path) -> tuple[Perturbation, dict[str, str]]:
    content = read_checkpoint(path, "perturbation")
    state = {name.removeprefix("perturbation."): value for name, value in content["state_dict"].items()}
    try:
        known = content[IDENTITY]
        height, width = known["tile"]
        perturbation = Perturbation((height, width), known["epsilon"], known["parametrization"])
        perturbation.load_state_dict(state)
        size = (known["size"][0], known["size"][1])
    except (LookupError, TypeError, ValueError, RuntimeError, InputError) as error:
        raise InputError(
            f"{path} lacks the settings of its attack ({error}). Expected a checkpoint of python -m uap.fit.",
            setting="perturbation",
            kind="unusable_file",
        ) from error
    perturbation.project_(perturbation.epsilon)  # a run can start from a larger epsilon
    perturbation.image_size = size if size == (height, width) else None
    return perturbation, {
        "epsilon": str(perturbation.epsilon),
        "size": json.dumps(size),
        "victim_fingerprint": str(known.get("victim")),
    }


def _of_array(path: Path, unit: Unit, epsilon: float) -> tuple[Perturbation, dict[str, str]]:
    change = _change(path, _read(path), unit)
    perturbation = Perturbation((change.shape[-2], change.shape[-1]), epsilon)
    if epsilon < 1:
        raise InputError(
            f"--epsilon is {epsilon}, expected grey levels, 1 or more: did you mean {max(round(255 * epsilon), 1)}?",
            setting="epsilon",
            kind="out_of_range",
        )
    largest = float(change.abs().max())
    other = "0-to-1" if unit == "grey-levels" else "grey-levels"
    if not largest <= epsilon + ROUNDING:
        raise InputError(
            f"{path} exceeds its epsilon: its largest entry is {largest:g} grey levels, epsilon is {epsilon:g}. "
            f"Check --epsilon, and whether the unit is {other}. In an image, {NO_CHANGE} is no change, and the "
            "perturbation must not be amplified.",
            setting="epsilon",
            kind="conflict",
        )
    if 0 < largest < 0.5:
        raise InputError(
            f"{path} changes nothing: its largest entry is {largest:g} grey levels, which rounding to 8 bits removes. "
            f"Is its unit {other}?",
            setting="unit",
            kind="out_of_range",
        )
    with torch.no_grad():
        perturbation.proto.copy_(change.clamp(-epsilon, epsilon))
    perturbation.image_size = (change.shape[-2], change.shape[-1])
    return perturbation, {"epsilon": str(epsilon)}


def _change(path: Path, array: NDArray[Any], unit: Unit) -> Tensor:
    """Return the change `(3, H, W)` float32 in grey levels."""
    if array.dtype.kind not in "iuf" or (array.dtype.kind == "u" and unit != "grey-levels"):
        raise InputError(
            f"{path} has the dtype {array.dtype} and the unit {unit}, expected signed numbers, or integer grey levels "
            f"around {NO_CHANGE}. Save it as float32.",
            setting="perturbation",
            kind="wrong_type",
        )
    shape = array.shape
    array = array[0] if array.ndim == 4 and len(array) == 1 else array
    is_first, is_last = (array.ndim == 3 and array.shape[axis] == 3 for axis in (0, -1))
    if is_first == is_last or not array.size:
        raise InputError(
            f"{path} has the shape {shape}, expected (3, H, W), (H, W, 3) or (1, 3, H, W). Transpose it.",
            setting="perturbation",
            kind="wrong_shape",
        )
    change = np.ascontiguousarray(array if is_first else array.transpose(2, 0, 1), np.float32)
    change = change - NO_CHANGE if array.dtype.kind == "u" else change
    return torch.from_numpy(change * (255 if unit == "0-to-1" else 1))


def _read(path: Path) -> NDArray[Any]:
    try:
        if path.suffix.lower() == ".npy":
            found: object = np.load(path, allow_pickle=False)
        elif path.suffix.lower() == ".png":
            with Image.open(path, formats=["PNG"]) as picture:
                found = np.asarray(picture)
        else:
            found = safe_load(path)
        if isinstance(found, dict) and len(found) == 1:
            found = next(iter(dict.values(found)))
        if isinstance(found, Tensor):
            found = found.detach().to(torch.float32 if found.is_floating_point() else found.dtype).numpy()
    except (TypeError, RuntimeError, OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be read as an array ({error}). Save it again.", setting="perturbation", kind="unusable_file"
        ) from error
    if not isinstance(found, np.ndarray):
        raise InputError(
            f"{path} contains a {type(found).__name__}, expected a single array. Save only the array.",
            setting="perturbation",
            kind="unusable_file",
        )
    return found
