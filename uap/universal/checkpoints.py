"""Checkpoints: atomic writing, and checks before a run is resumed."""

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
"""The key of a checkpoint for the settings of its attack."""

KEYS = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
"""Other required keys of a checkpoint."""

HALF_WRITTEN = "*.tmp.ckpt"
"""The pattern of unfinished checkpoints of a killed run; `atomic_file` names them."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, syncs it to disk, and then renames it.

    Thus a checkpoint file is always complete, even if the run is killed while it is written.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            InputError: the checkpoint cannot be written; the previous one is unchanged.
        """
        path = Path(path)
        try:
            with atomic_file(path) as unfinished, unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(path.parent, os.O_RDONLY)  # syncs the new name
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError on a full disk
            raise InputError(write_error_message(path, error), kind="unusable_file") from error


def discard_half_written(checkpoint: Path) -> None:
    """Remove unfinished checkpoints in the folder of the checkpoint from which a run is resumed."""
    for path in checkpoint.parent.glob(HALF_WRITTEN):
        if path != checkpoint:
            path.unlink(missing_ok=True)


def read_checkpoint(path: Path, learned: str) -> dict[str, Any]:
    """Return the content of a checkpoint.

    Args:
        path: the file.
        learned: prefix of the name of a parameter that it must contain.

    Raises:
        InputError: the file is missing or damaged, could run code, or lacks the parameter. The message names an older
            valid checkpoint in the same folder if there is one.
    """
    try:
        return _read(path, learned)
    except InputError as error:
        whole = next((other for other in _others(path) if _is_whole(other, learned)), None)
        raise InputError(
            f"{error} {whole} is valid: resume from that file." if whole else str(error),
            setting="ckpt_path",
            kind=error.kind,
        ) from error


def _others(path: Path) -> list[Path]:
    """Return the other checkpoints in the folder of a checkpoint, the newest first; none if it cannot be read."""
    try:
        written = set(path.parent.glob("*.ckpt")) - set(path.parent.glob(HALF_WRITTEN)) - {path}
        return sorted(written, key=lambda other: -other.stat().st_mtime)
    except OSError:
        return []


def _read(path: Path, learned: str) -> dict[str, Any]:
    checkpoint = safe_load(path)
    with zipfile.ZipFile(path) as archive:  # torch does not verify the checksums of its zip files
        damaged = archive.testzip()
    if damaged is not None:
        raise InputError(f"{path} is damaged ({damaged}).", kind="unusable_file")
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    found = [value for name, value in state.items() if str(name).startswith(learned)] if isinstance(state, dict) else []
    if not found:
        raise InputError(
            f"{path} contains no {learned}. Expected a checkpoint that this command wrote.",
            kind="unusable_file",
        )
    if not all(isinstance(value, Tensor) and value.isfinite().all() for value in found):
        raise InputError(
            f"{path} contains a {learned} with entries that are not finite. The file was changed.",
            kind="not_finite",
        )
    content = cast(dict[str, Any], checkpoint)
    missing = [name for name in KEYS if name not in content]
    if missing:
        raise InputError(
            f"{path} has no {', '.join(missing)}. Expected a checkpoint that this command wrote.",
            kind="unusable_file",
        )
    return content


def _is_whole(path: Path, learned: str) -> bool:
    try:
        _read(path, learned)
    except InputError:
        return False
    return True


def check_identity(checkpoint: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that a checkpoint is of the same attack.

    Args:
        checkpoint: content of the checkpoint.
        expected: the settings of the attack, by name.

    Raises:
        InputError: settings differ; the message names them.
    """
    found = checkpoint.get(IDENTITY, {})
    differing = [
        f"{name} is {found.get(name)}, here it is {value}"
        for name, value in expected.items()
        if _without_empty_arguments(found.get(name)) != _without_empty_arguments(value)
    ]
    if differing:
        raise InputError(
            f"The checkpoint is of another attack: its {'; its '.join(differing)}. Resume with the config.yaml of "
            "its run, or start a new run without --ckpt_path.",
            setting="ckpt_path",
            kind="conflict",
        )


def _without_empty_arguments(settings: Any) -> Any:
    """Return settings without empty `init_args`, which a class that replaces another one has until it is saved."""
    if isinstance(settings, list):
        return [_without_empty_arguments(one) for one in settings]
    if not isinstance(settings, dict):
        return settings
    return {name: _without_empty_arguments(one) for name, one in settings.items() if (name, one) != ("init_args", {})}
