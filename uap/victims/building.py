"""Construction of a victim from a configuration file, without the rest of the configuration."""

from pathlib import Path

from uap.configuration.components import build_component
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.victim import Victim


def shipped_victims() -> list[Path]:
    """Return the configuration files in `configs/victim/`, sorted by name."""
    return sorted(paths.shipped("configs/victim").glob("*.yaml"))


def find_victim(name: str) -> Path:
    """Return a configuration file by its path, or by its name in `configs/victim/`.

    Raises:
        InputError: no such file exists.
    """
    shipped = paths.shipped(f"configs/victim/{Path(name).stem}.yaml")
    found = [path for path in (Path(name), paths.find(name), shipped) if path.is_file()]
    if not found:
        raise InputError(
            f"There is no victim {name}. Give the path of a configuration, or one of these names: "
            f"{', '.join(path.stem for path in shipped_victims())}.",
            setting="victim",
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
