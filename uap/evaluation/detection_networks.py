"""Detection networks from their configurations."""

import importlib
from pathlib import Path

from uap.configuration.components import build_component
from uap.configuration.composition import read_settings
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.detection import DetectionVictim


def find_detection(name: str) -> Path | None:
    """Return the configuration of a detection network by its name in `configs/detection/` or its path, or None."""
    folder = paths.shipped("configs/detection")
    for path in (Path(name), paths.find(name), folder / f"{Path(name).stem}.yaml"):
        if path.is_file() and _is_detection(path):
            return path
    return None


def _is_detection(path: Path) -> bool:
    """Return whether a configuration names a class of detection networks."""
    return _detection_class(path) is not None


def _detection_class(path: Path) -> type[DetectionVictim] | None:
    """Return the class of the detection network that a configuration names; None if it names no such class."""
    victim = (read_settings(path).get("model") or {}).get("victim") or {}
    module, _, name = str(victim.get("class_path", "")).rpartition(".")
    try:
        found = getattr(importlib.import_module(module or "uap.victims"), name, None)
    except ImportError:
        return None
    return found if isinstance(found, type) and issubclass(found, DetectionVictim) else None


def build_detection(name: str, weights: str | None = None, proposal_nms: float | None = None) -> DetectionVictim:
    """Build a detection network.

    Args:
        name: its name in `configs/detection/`, or a YAML file with `model.victim`.
        weights: weight file that replaces the one of the configuration; None keeps it.
        proposal_nms: threshold of the proposals of a Faster R-CNN; None keeps that of the configuration.

    Raises:
        InputError: there is no such network, it has no weights, or it cannot be built.
    """
    path = find_detection(name)
    if path is None:
        names = ", ".join(sorted(file.stem for file in paths.shipped("configs/detection").glob("*.yaml")))
        raise InputError(
            f"There is no detection network {name}. Give the path of a configuration, or one of these names: {names}.",
            setting="network",
            kind="unknown_name",
        )
    block = read_settings(path).get("model", {}).get("victim", {})
    changes = {} if weights is None else {"weights": weights}
    if weights is None and not (block.get("init_args") or {}).get("weights"):
        raise InputError(
            f"{path.name} names no weights, and a network of random weights detects nothing. Set --weights FILE.",
            setting="model.victim.weights",
            kind="missing_setting",
        )
    found = _detection_class(path)
    nms = {"proposal_nms": proposal_nms} if proposal_nms and found and found.has_proposals else {}
    return build_component(path, "model.victim", DetectionVictim, **changes, **nms)  # type: ignore[type-abstract]
