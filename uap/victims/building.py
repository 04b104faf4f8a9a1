"""Construction of a victim from a configuration file, without the rest of the configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from uap.configuration.components import build_component, build_factory
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.victim import Victim
from uap.victims.wrapped import WrappedVictim

Wrapper = Callable[[Victim], WrappedVictim]
"""Wraps a victim, such as `Multiscale` with its scales."""


def shipped_victims() -> list[Path]:
    """Return the configuration files in `configs/victim/`, sorted by name."""
    return sorted(paths.shipped("configs/victim").glob("*.yaml"))


def find_victim(name: str) -> Path:
    """Return a configuration file by its path, or by its name in `configs/victim/`.

    Raises:
        InputError: no such file exists.
    """
    return _find(name, "victim")


def find_wrapper(name: str) -> Path:
    """Return the file of a wrapper by its path, or by its name in `configs/wrapper/`.

    Raises:
        InputError: no such file exists.
    """
    return _find(name, "wrapper")


def _find(name: str, kind: str) -> Path:
    folder = paths.shipped(f"configs/{kind}")
    found = [p for p in (Path(name), paths.find(name), folder / f"{Path(name).stem}.yaml") if p.is_file()]
    if not found:
        names = ", ".join(path.stem for path in sorted(folder.glob("*.yaml")))
        raise InputError(
            f"There is no {kind} {name}. Give the path of a configuration, or one of these names: {names}.",
            setting=kind,
            kind="unknown_name",
        )
    return found[0]


def build_victim(path: Path, weights: str | None = None) -> Victim:
    """Build the victim that a configuration describes as `model.victim`.

    Args:
        path: the YAML file.
        weights: weight file that replaces the one of the configuration; None keeps it.

    Raises:
        InputError: the file does not describe a victim, or the victim cannot be built.
    """
    return build_component(path, "model.victim", Victim, **({} if weights is None else {"weights": weights}))


def build_wrapper(path: Path) -> Wrapper:
    """Build the wrapper that a configuration describes as `wrapper`, without its victim.

    Raises:
        InputError: the file does not describe a wrapper, or the wrapper cannot be built.
    """
    return cast(Wrapper, build_factory(path, "wrapper", Wrapper))
