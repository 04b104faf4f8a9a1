"""A victim from a configuration file, for the commands that need nothing else of an experiment."""

from pathlib import Path

from uap.configuration.components import build_part
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.victim import Victim


def shipped_victims() -> list[Path]:
    """Return the configurations of `configs/victim/`, by name."""
    return sorted(paths.shipped("configs/victim").glob("*.yaml"))


def find_victim(name: str) -> Path:
    """Return the configuration that a user names: a file, or one of `configs/victim/`.

    Raises:
        InputError: there is none of that name.
    """
    shipped = paths.shipped(f"configs/victim/{Path(name).stem}.yaml")
    found = [path for path in (Path(name), paths.find(name), shipped) if path.is_file()]
    if not found:
        raise InputError(
            f"There is no victim {name}: no such file, and the shipped ones are "
            f"{', '.join(path.stem for path in shipped_victims())}."
        )
    return found[0]


def build_victim(path: Path, weights: str | None = None) -> Victim:
    """Build the victim `model.victim` of a configuration, be it a whole experiment or the victim alone.

    Args:
        path: the YAML file.
        weights: a file in the place of the configuration's.

    Raises:
        InputError: the file describes no victim, or one that cannot be built.
    """
    return build_part(path, "model.victim", Victim, **({} if weights is None else {"weights": weights}))
