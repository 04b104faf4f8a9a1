"""A victim from a configuration file, for the doors that need nothing else of an experiment."""

from pathlib import Path
from typing import cast

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from uap import paths
from uap.errors import InputError, input_error_in
from uap.victims.adapter import FrozenVictim


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


def build_victim(path: Path, weights: str | None = None) -> FrozenVictim:
    """Build the victim `model.victim` of a configuration, be it a whole experiment or the victim alone.

    Args:
        path: the YAML file.
        weights: a file in the place of the configuration's.

    Raises:
        InputError: the file describes no victim, or one that cannot be built.
    """
    try:
        block = yaml.safe_load(path.read_text())["model"]["victim"]
        if weights is not None:
            block["init_args"] = (block.get("init_args") or {}) | {"weights": weights}
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(FrozenVictim, "victim", required=True)
        built = parser.instantiate_classes(parser.parse_object({"victim": block}))
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError, ArgumentError) as error:
        raise input_error_in(error) or InputError(
            f"{path} describes no victim ({str(error).strip()}). Expected model: victim: with class_path and "
            "init_args, as in configs/victim/."
        ) from error
    return cast(FrozenVictim, built.victim)
