"""Components of an experiment that are built from its configuration, without starting a run."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from uap.configuration.class_errors import as_input_error
from uap.configuration.components import build_component
from uap.configuration.config_files import read_configuration
from uap.data import SegmentationData
from uap.metrics.names import images_scored
from uap.objectives import Objective
from uap.utils.paths import check_file


def config_of(path: Path) -> Path:
    """Return the configuration file of a run folder, or the path itself if it is not a folder.

    Raises:
        InputError: the file does not exist or cannot be read.
    """
    config = path / "config.yaml" if path.is_dir() else path
    check_file(
        config,
        "configuration",
        "Give the folder of a run of python -m uap.fit, or the configuration file of a whole experiment.",
    )
    return config


def settings_of(config: Path, key: str) -> Any:
    """Return the value of a top-level key of a configuration, or None if it lacks the key.

    Raises:
        InputError: the configuration cannot be read.
    """
    content, _ = read_configuration(str(config))
    return content.get(key)


def build_data(config: Path, size: tuple[int, int] | None = None, eval_images: int | None = None) -> SegmentationData:
    """Build the `data` of a configuration; no image is read.

    Args:
        config: the YAML file.
        size: replaces the height and width of the configuration.
        eval_images: replaces the number of scored images of the configuration.

    Raises:
        InputError: the file describes no data, or the data cannot be built.
    """
    given = {"size": size, "eval_images": eval_images}
    changes = {name: value for name, value in given.items() if value is not None}
    return build_component(config, "data", SegmentationData, **changes)  # type: ignore[type-abstract]


def build_target(config: Path) -> Objective:
    """Build the `model.objective` of a configuration.

    Raises:
        InputError: the file describes no objective, or the objective cannot be built.
    """
    return build_component(config, "model.objective", Objective)  # type: ignore[type-abstract]


def facts_of_data(data: SegmentationData) -> dict[str, str]:
    """Return what tables say of the scored images of data that are set up."""
    return {
        "data": f"{type(data).__name__}, {data.split}",
        "images": images_scored(len(data.datasets["scored"]), data.images_in_split),
        "size": f"{data.size[0]} x {data.size[1]}",
    }


def device_trainer() -> Trainer:
    """Return a trainer that is only used to select the device, and to compute clean predictions.

    Raises:
        InputError: Lightning cannot create a trainer in this environment.
    """
    with as_input_error("The trainer"):
        return Trainer(
            devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
        )
