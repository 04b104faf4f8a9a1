"""Check of an existing run folder: only a run of the same configuration may write to it."""

from pathlib import Path
from typing import Any

from uap.configuration.plain_yaml import plain_yaml
from uap.utils.errors import InputError
from uap.utils.run_folder import LAST

MAX_NAMED = 4
"""Maximal number of differing settings in the message."""


def check_configuration(folder: Path, config: dict[str, Any], irrelevant: tuple[str, ...]) -> None:
    """Check that a folder contains no run of another configuration.

    Args:
        folder: the run folder; it may be missing.
        config: the configuration as plain values, as in `config.yaml`.
        irrelevant: names of settings that change no result. They are ignored at any level.

    Raises:
        InputError: the `config.yaml` of the folder differs. The message names the settings.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        return
    try:
        found = plain_yaml(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read ({error}). Set another --trainer.default_root_dir.",
            setting="trainer.default_root_dir",
            kind="unusable_file",
        ) from error
    before, now = (_flat(content, irrelevant) for content in (found, config))
    differing = [name for name in {**now, **before} if now.get(name) != before.get(name)]
    if differing:
        named = [f"{name} is {before.get(name)}, here it is {now.get(name)}" for name in differing[:MAX_NAMED]]
        others = f"; {len(differing) - MAX_NAMED} more" if len(differing) > MAX_NAMED else ""
        resume = f", or resume it with --ckpt_path {folder / LAST}" if (folder / LAST).exists() else ""
        raise InputError(
            f"{folder} already contains a run of another configuration: its {'; its '.join(named)}{others}. Set "
            f"another --trainer.default_root_dir{resume}.",
            setting="trainer.default_root_dir",
            kind="conflict",
        )


def _flat(content: Any, irrelevant: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    """Return the settings that are not None by dotted name, as on the command line."""
    if not isinstance(content, dict):
        return {} if content is None else {prefix.rstrip("."): content}
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if name not in irrelevant:
            flat |= _flat(value, irrelevant, prefix if name in ("init_args", "class_path") else f"{prefix}{name}.")
    return flat
