"""Whole configurations from layers, as `uap.fit` understands them, and what determines a result in them."""

import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from uap import fit
from uap.data.datamodule import SPEED
from uap.reproduction.reproduction import Layer
from uap.universal.perturbation import check_epsilon
from uap.utils import paths
from uap.utils.errors import InputError

PASSING = ("ckpt_path", "quiet", "trainer.logger", "trainer.enable_progress_bar", "trainer.default_root_dir")
"""How the names of settings begin that change nothing in the result; those of the data are `SPEED`."""

LONGEST_PATH = 250
"""Text that is longer names no file."""


def resolved(base: list[Layer], further: list[str], over: list[Layer], places: dict[str, str]) -> dict[str, Any]:
    """Return the whole configuration that `uap.fit` makes of layers, with its own defaults.

    Args:
        base: files and settings, in order.
        further: arguments of the command line, which go over them.
        over: files and settings that go over both.
        places: the folders that settings name in braces.

    Raises:
        InputError: a file is not there, a setting cannot be used, or more than one device is asked for.
    """
    with tempfile.TemporaryDirectory() as scratch:
        below = _arguments(base, places, Path(scratch) / "base")
        above = _arguments(over, places, Path(scratch) / "over")
        given = [*below, "--trainer.logger=false", *further, *above, "--print_config"]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):  # having printed
            fit.main(given)
    config: dict[str, Any] = yaml.safe_load(printed.getvalue())
    if config["trainer"]["devices"] != 1 or config["trainer"]["num_nodes"] != 1:
        raise InputError(
            f"trainer.devices is {config['trainer']['devices']}, but a point runs on one device. Use several with "
            "`--shard 1/4`, `--shard 2/4` ... side by side, each with CUDA_VISIBLE_DEVICES."
        )
    for name in ("epsilon", "start_epsilon"):  # of every point before the first one runs
        if config["model"][name] is not None:
            check_epsilon(config["model"][name], f"model.{name}")
    return config


def determining(config: dict[str, Any]) -> dict[str, Any]:
    """Return what determines a result, by dotted name; the contents of files stand for their paths.

    Other weights under the same name are another result, and the same weights under another name are not.
    """
    passing = (*PASSING, *(f"data.init_args.{name}" for name in SPEED))
    known = {name: value for name, value in _flat(config) if not name.startswith(passing)}
    return {name: _with_contents(value) for name, value in known.items()}


def _arguments(layers: list[Layer], places: dict[str, str], scratch: Path) -> Iterator[str]:
    """Give layers as arguments; a setting that names a class goes into a file, as files alone start a part anew."""
    for number, layer in enumerate(layers):
        for config in layer.configs:
            yield f"--config={_file(_filled(config, places))}"
        settings = {name: _filled(value, places) for name, value in layer.settings.items()}
        parts = {name: value for name, value in settings.items() if isinstance(value, dict) and "class_path" in value}
        if parts:
            file = scratch.with_name(f"{scratch.name}{number}.yaml")
            file.write_text(yaml.safe_dump(_nested(parts)))
            yield f"--config={file}"
        for name, value in settings.items():
            if name not in parts:
                yield f"--{name}={value if isinstance(value, str) else json.dumps(value)}"


def _file(name: str) -> Path:
    path = paths.find(name)
    if not path.is_file():
        raise InputError(f"there is no configuration file {name}. Check the path, which starts in the current folder.")
    return path


def _filled(value: Any, places: dict[str, str]) -> Any:
    """Return a value in whose texts the folders stand for their names in braces."""
    if isinstance(value, dict):
        return {name: _filled(inner, places) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, places) for inner in value]
    for name, folder in places.items():
        value = value.replace(f"{{{name}}}", folder) if isinstance(value, str) else value
    return value


def _nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Return dotted names as mappings within mappings."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        *outer, last = name.split(".")
        inner = nested
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return nested


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{name}.{key}".lstrip("."))]
    return [(name, value)]


def _with_contents(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_contents(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_contents(inner) for inner in value]
    return _content(value) if isinstance(value, str) and len(value) < LONGEST_PATH else value


def _content(name: str) -> str:
    path = paths.find(name)
    return _digest(path.absolute(), path.stat().st_mtime_ns) if path.is_file() else name


@cache
def _digest(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
