"""How several configuration files become one."""

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # it is in their documentation
from pytorch_lightning.cli import LightningArgumentParser


class ConfigFile(ActionConfigFile):
    """A configuration file that goes over those before it, value by value; a part whose class it names starts anew.

    jsonargparse keeps the `init_args` of a part of the same class: the mean of one network would become that of the
    next one, which says nothing of its own.
    """

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Read a file into the configuration so far."""
        for key in parts(values):
            cfg.pop(key, None)
        super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]


def parts(file: str) -> list[str]:
    """Return the keys of a configuration file whose values name a class, such as `model.victim`."""
    try:
        content = yaml.safe_load(Path(file).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return []  # whoever reads it next says what is wrong
    return list(_parts(content, ""))


def _parts(content: Any, key: str) -> list[str]:
    if not isinstance(content, dict):
        return []
    if "class_path" in content:
        return [key]
    return [found for name, value in content.items() for found in _parts(value, f"{key}.{name}".lstrip("."))]


class Parser(LightningArgumentParser):
    """Lightning's parser, with configuration files as above."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an argument."""
        if kwargs.get("action") is ActionConfigFile:
            kwargs["action"] = ConfigFile
        return super().add_argument(*args, **kwargs)
