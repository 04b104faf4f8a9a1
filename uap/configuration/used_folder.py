"""Folders that a command has written to before: the same configuration may go on there, another one may not."""

from pathlib import Path
from typing import Any

from uap.configuration.plain_yaml import plain_yaml
from uap.utils.errors import InputError
from uap.utils.run_folder import LAST

NAMED = 4
"""So many differing settings are named, so that the sentence stays one."""


def check_configuration(folder: Path, config: dict[str, Any], irrelevant: tuple[str, ...]) -> None:
    """Check that a folder holds nothing of another configuration than the one that is to write to it.

    Args:
        folder: of the run; it may be missing.
        config: the configuration, as `config.yaml` would have it.
        irrelevant: names of settings that change no result, wherever they stand.

    Raises:
        InputError: the `config.yaml` of the folder differs; the message names the settings.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        return
    try:
        found = plain_yaml(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}). Set another --trainer.default_root_dir.") from error
    before, now = (_flat(content, irrelevant) for content in (found, config))
    differing = [name for name in {**now, **before} if now.get(name) != before.get(name)]
    if differing:
        named = [f"{name} is {before.get(name)}, here it is {now.get(name)}" for name in differing[:NAMED]]
        others = f"; {len(differing) - NAMED} more" if len(differing) > NAMED else ""
        resume = f", or continue it with --ckpt_path {folder / LAST}" if (folder / LAST).exists() else ""
        raise InputError(
            f"{folder} already holds a run of another configuration: its {'; its '.join(named)}{others}. Set another "
            f"--trainer.default_root_dir{resume}."
        )


def _flat(content: Any, irrelevant: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    """Return settings by their dotted names, as the command line has them; what is not set does not count."""
    if not isinstance(content, dict):
        return {} if content is None else {prefix.rstrip("."): content}
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if name not in irrelevant:
            flat |= _flat(value, irrelevant, prefix if name in ("init_args", "class_path") else f"{prefix}{name}.")
    return flat
