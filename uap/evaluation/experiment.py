"""The parts of an experiment that scoring needs, built from its configuration; no run begins, no folder is made."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from uap.configuration.class_errors import as_input_error
from uap.configuration.components import build_component
from uap.configuration.config_files import read_configuration
from uap.data import SegmentationData
from uap.objectives import PredictionObjective
from uap.utils.paths import check_file


def config_of(place: Path) -> Path:
    """Return the configuration of a run folder, or the configuration file that is given itself.

    Raises:
        InputError: there is none, or it may not be read.
    """
    config = place / "config.yaml" if place.is_dir() else place
    check_file(
        config,
        "configuration",
        "Give the folder of a run of python -m uap.fit, or the configuration file of a whole experiment.",
    )
    return config


def settings_of(config: Path, key: str) -> Any:
    """Return what a configuration has under a key of its first level, None where it has nothing there.

    Raises:
        InputError: it cannot be read.
    """
    content, _ = read_configuration(str(config))
    return content.get(key)


def build_data(config: Path, size: tuple[int, int] | None = None, eval_images: int | None = None) -> SegmentationData:
    """Build the `data` of a configuration; nothing is read yet.

    Args:
        config: the YAML file.
        size: replaces the height and width of the configuration.
        eval_images: replaces the number of scored images of the configuration.

    Raises:
        InputError: the file describes no data, or data that cannot be built.
    """
    given = {"size": size, "eval_images": eval_images}
    changes = {name: value for name, value in given.items() if value is not None}
    return build_component(config, "data", SegmentationData, **changes)  # type: ignore[type-abstract]


def build_target(config: Path) -> PredictionObjective:
    """Build the `model.objective` of a configuration.

    Raises:
        InputError: the file describes no target, or one that cannot be built.
    """
    return build_component(config, "model.objective", PredictionObjective)  # type: ignore[type-abstract]


def device_trainer() -> Trainer:
    """Return a trainer that runs and writes nothing; it chooses the device, and clean predictions ask for it.

    Raises:
        InputError: Lightning cannot work in this environment.
    """
    with as_input_error("The trainer"):
        return Trainer(
            devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
        )
