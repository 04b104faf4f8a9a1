"""Complete configurations of `uap.fit` made of layers, and the settings that determine a result."""

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
from uap.configuration.config_files import read_configuration
from uap.data.datamodule import SPEED
from uap.reproduction.reproduction import Layer
from uap.universal.perturbation import check_epsilon
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.building import find_victim

PASSING = ("ckpt_path", "quiet", "trainer.logger", "trainer.enable_progress_bar", "trainer.default_root_dir")
"""Prefixes of the settings that do not change a result. `SPEED` lists those of the data."""

LONGEST_PATH = 250
"""Longest text, in characters, that is looked up as a path."""


def resolved(base: list[Layer], overrides: list[str], over: list[Layer], folders: dict[str, str]) -> dict[str, Any]:
    """Return the complete configuration that `uap.fit` makes of layers, its defaults included.

    Args:
        base: files and settings, in order.
        overrides: arguments of the command line; they override `base`.
        over: files and settings that override both.
        folders: paths by name; settings refer to them as `{name}`.

    Raises:
        InputError: a file is missing, a setting is invalid, or the configuration asks for more than one device.
    """
    with tempfile.TemporaryDirectory() as scratch:
        below = _arguments(base, folders, Path(scratch) / "base")
        above = _arguments(over, folders, Path(scratch) / "over")
        given = [*below, "--trainer.logger=false", *overrides, *above, "--print_config"]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):  # --print_config exits
            fit.main(given)
    config: dict[str, Any] = yaml.safe_load(printed.getvalue())
    if config["trainer"]["devices"] != 1 or config["trainer"]["num_nodes"] != 1:
        raise InputError(
            f"trainer.devices is {config['trainer']['devices']}, but a trial runs on one device. To use several, start "
            "`--shard 1/4`, `--shard 2/4` ... side by side, each with its own CUDA_VISIBLE_DEVICES.",
            setting="trainer.devices",
            kind="not_supported",
        )
    for name in ("epsilon", "start_epsilon"):  # check all trials before the first one runs
        if config["model"][name] is not None:
            check_epsilon(config["model"][name], f"model.{name}")
    return config


def determining(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that determine a result, by dotted name.

    The SHA-256 of a file replaces its path: other weights in a file of the same name give another result, and the same
    weights in a file of another name give the same result.
    """
    passing = (*PASSING, *(f"data.init_args.{name}" for name in SPEED))
    known = {name: value for name, value in _flat(config) if not name.startswith(passing)}
    return {name: _with_contents(value) for name, value in known.items()}


def options(arguments: dict[str, Any]) -> list[str]:
    """Return arguments as words of a command line; None leaves an argument out.

    A list becomes several words, or one word in brackets where the name has a dot, as the parsers of the commands
    expect it.

    Example:
        >>> options({"images": 16, "epsilons": [1, 2], "data.size": [8, 8], "weights": None})
        ['--images=16', '--epsilons', '1', '2', '--data.size=[8, 8]']
    """
    words: list[str] = []
    for name, value in arguments.items():
        if isinstance(value, list) and "." not in name:
            words += [f"--{name}", *map(str, value)]
        elif value is not None:
            words.append(f"--{name}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def contents_of(words: list[str]) -> list[Any]:
    """Return the words of a command line with the contents of the files that they name, as `determining` does.

    A configuration, also one of `configs/victim/` or `configs/wrapper/` by its name, counts with the contents of the
    files that it names.
    """
    return [_word_with_content(word) for word in words]


def _word_with_content(word: str) -> Any:
    name, _, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
    if len(value) >= LONGEST_PATH:
        return word
    shipped = [paths.shipped(f"configs/{kind}/{value}.yaml") for kind in ("victim", "wrapper")]
    found = [path for path in (paths.find(value), *shipped) if path.is_file()]
    if found and found[0].suffix in (".yaml", ".yml"):
        return [name, _with_contents(read_configuration(str(found[0]))[0])]
    return [name, _with_contents(value)]


def _arguments(layers: list[Layer], folders: dict[str, str], scratch: Path) -> Iterator[str]:
    """Yield layers as command-line arguments.

    A setting that names a class goes into a file: LightningCLI merges the arguments of a class given on the command
    line with those of the class before it, but replaces both where a file names a class.
    """
    for number, layer in enumerate(layers):
        for config in layer.configs:
            yield f"--config={_file(filled(config, folders))}"
        settings = {name: filled(value, folders) for name, value in layer.settings.items()}
        classes = {name: value for name, value in settings.items() if isinstance(value, dict) and "class_path" in value}
        if classes:
            file = scratch.with_name(f"{scratch.name}{number}.yaml")
            file.write_text(yaml.safe_dump(_nested(classes)))
            yield f"--config={file}"
        for name, value in settings.items():
            if name not in classes:
                yield f"--{name}={value if isinstance(value, str) else json.dumps(value)}"


def _file(name: str) -> Path:
    path = paths.find(name)
    if not path.is_file():
        raise InputError(
            f"there is no configuration file {name}. Check the path, which starts in the current folder.",
            kind="missing_file",
        )
    return path


def filled(value: Any, folders: dict[str, str]) -> Any:
    """Return a value with the names in braces replaced by the folders, and the networks of `configs/victim/` put in."""
    if isinstance(value, list):
        return [filled(inner, folders) for inner in value]
    if isinstance(value, dict):
        own = {name: filled(inner, folders) for name, inner in value.items()}
        return _victim(**own) if isinstance(own.get("victim"), str) else own
    for name, folder in folders.items():
        value = value.replace(f"{{{name}}}", folder) if isinstance(value, str) else value
    return value


def _victim(victim: str, **changes: Any) -> dict[str, Any]:
    """Return the component of a network of `configs/victim/` with some arguments changed."""
    component = read_configuration(str(find_victim(victim)))[0]["model"]["victim"]
    return {**component, "init_args": component["init_args"] | changes}


def _nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Return nested mappings made of dotted names."""
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
