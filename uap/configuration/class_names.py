"""The classes that a setting can name, and suggestions for a misspelled class name."""

import difflib
import importlib
import inspect
import re
import sys

CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "data": ("uap.data.datamodule.SegmentationData", ("uap.data",)),
    "victim": ("uap.victims.Victim", ("uap.victims",)),
    "ensemble": ("uap.victims.Victim", ("uap.victims",)),
    "network": ("torch.nn.Module", ("uap.networks",)),
    "objective": ("uap.objectives.Objective", ("uap.objectives",)),
    "loss": ("uap.losses.Loss", ("uap.losses",)),
    "reduction": ("uap.losses.Reduction", ("uap.losses",)),
    "optimizer": ("torch.optim.Optimizer", ("uap.universal.optim", "torch.optim")),
    "lr_scheduler": ("torch.optim.lr_scheduler.LRScheduler", ("uap.universal.optim", "torch.optim.lr_scheduler")),
    "callbacks": (
        "pytorch_lightning.Callback",
        ("uap.universal.callbacks.full_batch", "uap.universal.callbacks.pictures", "pytorch_lightning.callbacks"),
    ),
    "logger": ("pytorch_lightning.loggers.Logger", ("pytorch_lightning.loggers",)),
    "strategy": ("pytorch_lightning.strategies.Strategy", ("pytorch_lightning.strategies",)),
    "profiler": ("pytorch_lightning.profilers.Profiler", ("pytorch_lightning.profilers",)),
}
"""By the last part of the name of a setting: the base class of its values, and the modules that define them."""

MISSING = r"(?:module '(?P<module>[^']+)' has no attribute|No module named '(?P<missing>[^']+)')"

UNKNOWN = (
    re.compile(r"Expected a dot import path string: (?P<name>\S+)"),
    re.compile(rf"Problem with given class_path '(?P<name>[^']+)':\s+{MISSING}"),
    re.compile(rf"expects a function or a callable class: {MISSING}.*Got value: (?P<name>\S+)"),
)
"""Messages of jsonargparse about a class that it cannot find."""


def unknown_class(message: str) -> str | None:
    """Return the class that the parser could not find; None if the message reports another error.

    A failing import inside the module of the class is another error.
    """
    for pattern in UNKNOWN:
        if match := pattern.search(message):
            found = match.groupdict()
            missing = found.get("module") or found.get("missing") or ""
            return found["name"] if f"{found['name']}.".startswith(missing) else None
    return None


def known_classes(setting: str, class_path: str) -> tuple[list[str], list[str]]:
    """Return the import paths of the classes that a setting can name: first those with a similar name, then the others.

    Args:
        setting: dotted name of the setting.
        class_path: the unknown class. If its module was imported, the classes of that module are included.
    """
    kind = setting.rpartition(".")[2]
    if kind not in CLASSES:
        return [], []
    base_path, modules = CLASSES[kind]
    base = _class(base_path)
    paths = [path for module in modules for path in _public(module, base)]
    if kind == "network":  # a victim is also a module, but cannot be the network of a victim
        paths = [path for path in paths if not issubclass(_class(path), _class("uap.victims.Victim"))]
    module, _, name = class_path.rpartition(".")
    own = _public(module, base) if module in sys.modules and module not in modules else []
    names = {path: path.rpartition(".")[2].lower() for path in dict.fromkeys([*own, *paths])}
    close = difflib.get_close_matches(name.lower(), names.values(), n=len(names) or 1, cutoff=0.6)
    ordered = [path for each in dict.fromkeys(close) for path in names if names[path] == each]
    return ordered, [path for path in paths if path not in ordered]


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def _public(module: str, base: type) -> list[str]:
    found = vars(importlib.import_module(module))
    return sorted(
        f"{module}.{name}"
        for name, value in found.items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and not (name.startswith("_") or inspect.isabstract(value))
        and (value is not base or value.__module__.startswith("uap."))  # base classes of torch do nothing themselves
    )
