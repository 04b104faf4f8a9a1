"""Checkpoints, refused where they do not fit."""

from pathlib import Path
from typing import Any

from uap.errors import InputError
from uap.safe_load import safe_load

IDENTITY = "uap"
"""The key under which a checkpoint says what its perturbation was learnt for."""


def check_readable(path: Path, learnt: str) -> None:
    """Check that a file is a checkpoint with a parameter whose name begins with `learnt`.

    Raises:
        InputError: it is missing, damaged, asks to run code, or holds no such parameter.
    """
    checkpoint = safe_load(path)
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not any(str(name).startswith(learnt) for name in state):
        raise InputError(f"{path} holds no {learnt}. Expected a checkpoint that this command wrote.")


def check_identity(checkpoint: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that a checkpoint was learnt for the same size, epsilon and victim.

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
