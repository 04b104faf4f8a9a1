"""Robustness of segmentation networks to adversarial perturbations, universal and image-dependent.

    import uap

    victim = uap.Victim(model, classes="cityscapes", mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))
    delta = uap.learn(victim, images, uap.objectives.Untargeted(), epsilon=10)
    print(uap.evaluation.evaluate(victim, images, delta, uap.objectives.Untargeted()))

Names are imported when they are first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "Perturbation": "uap.universal.perturbation",
    "Victim": "uap.victims.victim",
    "learn": "uap.universal.learn",
    "load_perturbation": "uap.universal.perturbation_files",
}
"""Where each name of the public interface is defined."""

_PACKAGES = (
    "attacks",
    "datasets",
    "defenses",
    "detectors",
    "evaluation",
    "losses",
    "metrics",
    "networks",
    "objectives",
    "universal",
    "victims",
)

__all__ = ["__version__", *_NAMES, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"uap.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'uap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
