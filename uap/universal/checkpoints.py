"""Checkpoints: written whole, and refused where they do not fit."""

import os
import zipfile
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from torch import Tensor

from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.run_folder import write_error_message
from uap.utils.safe_load import safe_load

IDENTITY = "uap"
"""The key under which a checkpoint says what its perturbation was learned for."""

KEYS = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
"""What a checkpoint has besides."""

HALF_WRITTEN = "*.tmp.ckpt"
"""What a killed run leaves of a checkpoint, by the names that `atomic_file` gives."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint under another name, waits until it is on the disk, and then gives it its name.

    However a run ends, a checkpoint is either the one before or the new one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            InputError: it cannot be written; the one before is as it was.
        """
        path = Path(path)
        try:
            with atomic_file(path) as place, place.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(path.parent, os.O_RDONLY)  # the name too
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except (OSError, RuntimeError) as error:  # torch's own writer raises the latter on a full disk
            raise InputError(write_error_message(path, error)) from error


def discard_half_written(checkpoint: Path) -> None:
    """Remove what a killed run did not finish beside the checkpoint that it is resumed from."""
    for path in checkpoint.parent.glob(HALF_WRITTEN):
        if path != checkpoint:
            path.unlink(missing_ok=True)


def read_checkpoint(path: Path, learned: str) -> dict[str, Any]:
    """Return a checkpoint with a parameter whose name begins with `learned`.

    Raises:
        InputError: it is missing, damaged, asks to run code, or holds no such parameter; the message names an older
            one beside it that is whole.
    """
    try:
        return _read(path, learned)
    except InputError as error:
        whole = next((other for other in _others(path) if _is_whole(other, learned)), None)
        raise InputError(f"{error} {whole} is whole: resume from that." if whole else str(error)) from error


def _others(path: Path) -> list[Path]:
    """Return the other checkpoints beside one, the newest first; none where their folder may not be read."""
    try:
        written = set(path.parent.glob("*.ckpt")) - set(path.parent.glob(HALF_WRITTEN)) - {path}
        return sorted(written, key=lambda other: -other.stat().st_mtime)
    except OSError:
        return []


def _read(path: Path, learned: str) -> dict[str, Any]:
    checkpoint = safe_load(path)
    with zipfile.ZipFile(path) as archive:  # torch reads its zip files without a look at their checksums
        damaged = archive.testzip()
    if damaged is not None:
        raise InputError(f"{path} is damaged ({damaged}).")
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    found = [value for name, value in state.items() if str(name).startswith(learned)] if isinstance(state, dict) else []
    if not found:
        raise InputError(f"{path} holds no {learned}. Expected a checkpoint that this command wrote.")
    if not all(isinstance(value, Tensor) and value.isfinite().all() for value in found):
        raise InputError(f"{path} holds a {learned} with entries that are no numbers. It was changed.")
    content = cast(dict[str, Any], checkpoint)
    missing = [name for name in KEYS if name not in content]
    if missing:
        raise InputError(f"{path} has no {', '.join(missing)}. Expected a checkpoint that this command wrote.")
    return content


def _is_whole(path: Path, learned: str) -> bool:
    try:
        _read(path, learned)
    except InputError:
        return False
    return True


def check_identity(checkpoint: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that a checkpoint is of the same attack: size, epsilon, victim, recipe, images and steps.

    Raises:
        InputError: the message names everything that differs.
    """
    found = checkpoint.get(IDENTITY, {})
    differing = [
        f"{name} is {found.get(name)}, here it is {value}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    if differing:
        raise InputError(
            f"The checkpoint is of another attack: its {'; its '.join(differing)}. Resume with the config.yaml beside "
            "it, or start anew without --ckpt_path."
        )
