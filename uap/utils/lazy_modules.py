"""Modules of a package that are imported when they are first used as attributes of it."""

import importlib
from collections.abc import Callable
from types import ModuleType


def lazy_modules(package: str, *names: str) -> Callable[[str], ModuleType]:
    """Return the `__getattr__` of a package, by which `import uap` is enough for `uap.PACKAGE.MODULE`.

    Args:
        package: its `__name__`.
        names: of the modules.

    Example:
        >>> lazy_modules("uap.metrics", "roc")("roc").__name__
        'uap.metrics.roc'
    """

    def find(name: str) -> ModuleType:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    return find
