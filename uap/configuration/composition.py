"""Composed configurations: a file lists in `defaults` the files that it starts from."""

from pathlib import Path
from typing import Any

from uap.configuration.config_paths import read_file
from uap.configuration.merging import merged
from uap.utils import paths
from uap.utils.errors import InputError

DEFAULTS = "defaults"
"""The key of a configuration for the paths of the files that it starts from."""


def read_settings(file: Path, including: tuple[Path, ...] = ()) -> Any:
    """Return the content of a configuration file, composed with the files of its `defaults`.

    Args:
        file: the YAML file.
        including: the files whose `defaults` lead to this file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not valid YAML.
        InputError: a file of its `defaults` is missing, cannot be read, or includes itself.
    """
    content = read_file(file)
    if not isinstance(content, dict):
        return content
    return compose(content, file.absolute().parent, str(file), (*including, file))


def compose(content: dict[str, Any], folder: Path, source: str, including: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the settings of the files in `defaults`, in order, overridden by the other settings of `content`.

    Args:
        content: settings by name.
        folder: the folder where relative paths in `defaults` start. Files that ship with `uap` are found from anywhere.
        source: origin of the settings, for messages.
        including: the files whose `defaults` lead here, the file of `content` included.

    Raises:
        InputError: `defaults` is no list of paths, or a file in it is missing, cannot be read, or includes itself.
    """
    names = content.get(DEFAULTS) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{source} has {DEFAULTS}: {names}, expected a list of paths, such as [victim/my_network.yaml].",
            setting="defaults",
            kind="wrong_type",
        )
    composed: dict[str, Any] = {}
    for name in names:
        composed = merged(composed, _included(name, folder, source, including))
    return merged(composed, {key: value for key, value in content.items() if key != DEFAULTS})


def _included(name: str, folder: Path, source: str, including: tuple[Path, ...]) -> dict[str, Any]:
    advice = f"Correct `{DEFAULTS}` of {source}."
    file = folder / name
    try:
        if not file.exists() and paths.shipped(name).exists():
            file = paths.shipped(name)
        paths.check_file(file, "configuration", advice)
        if file.resolve() in [outer.resolve() for outer in including]:
            route = " -> ".join(str(path) for path in (*including, file))
            raise InputError(
                f"The configuration {file} includes itself: {route}. {advice}", setting="defaults", kind="conflict"
            )
        settings = read_settings(file, including)
    except OSError as error:
        raise InputError(
            f"The configuration {file} cannot be read ({error.strerror or error}). {advice}",
            setting="defaults",
            kind="unusable_file",
        ) from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"The configuration {file} cannot be read as YAML: {reason}. {source} includes it.",
            setting="defaults",
            kind="unusable_file",
        ) from error
    if not isinstance(settings, dict):
        raise InputError(
            f"The configuration {file} holds no settings by name, such as data: or model:. {advice}",
            setting="defaults",
            kind="unusable_file",
        )
    return settings
