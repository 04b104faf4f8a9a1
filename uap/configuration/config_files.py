"""How several configuration files become one."""

from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, Union, get_args, get_origin

import yaml
from jsonargparse import (  # type: ignore[attr-defined]  # they are documented
    ActionConfigFile,
    get_loader,
    set_loader,
    set_parsing_settings,
)
from pytorch_lightning.cli import LightningArgumentParser

from uap.configuration.config_paths import read_settings
from uap.configuration.exclusive_settings import flat, on_command_line, overridden
from uap.configuration.parser_messages import sentence
from uap.configuration.plain_yaml import plain_yaml
from uap.utils import paths
from uap.utils.errors import InputError

# a configuration may name classes of the types that are asked for; never os, subprocess and their like, nor any class
# where a setting has no type
set_parsing_settings(import_path_denylist=[], instantiate_subclass_spec_in_any=False)
# what PyYAML raises of tags without a value, such as !!int, is a text that is no YAML too
set_loader("yaml", get_loader("yaml"), (yaml.YAMLError, LookupError, AttributeError, TypeError))


class ConfigFile(ActionConfigFile):
    """A configuration file that goes over those before it, value by value; a part whose class it names starts anew.

    jsonargparse keeps the `init_args` of a part of the same class: the mean of one network would become that of the
    next one, which says nothing of its own.
    """

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Read a file into the configuration so far.

        Raises:
            InputError: it is no text, or no settings.
        """
        content, is_changed = read_configuration(values)
        for key in _parts(content, ""):
            cfg.pop(key, None)
        for name, value in overridden(flat(content)).items():
            key = name.replace("model.objective.", "model.objective.init_args.")
            if cfg.get(key) is not None:
                cfg[key] = value
        file = values if values.lstrip().startswith("{") else str(paths.find(values))
        super().__call__(  # type: ignore[no-untyped-call]
            parser, cfg, yaml.safe_dump(content, sort_keys=False) if is_changed else file, option_string
        )
        cfg[self.dest][-1] = file


def read_configuration(file: str) -> tuple[dict[str, Any], bool]:
    """Return the settings of a configuration file, and whether they differ from its text.

    Raises:
        InputError: it cannot be read, or holds no settings.
    """
    try:
        if file.lstrip().startswith("{"):  # settings in the place of a file's name
            content, plain = plain_yaml(file), plain_yaml(file)
        else:
            path = paths.find(file)
            paths.check_file(path, "configuration")
            content, plain = read_settings(path), plain_yaml(path.read_text())
    except OSError as error:
        raise InputError(
            f"The configuration {file} cannot be read ({error.strerror or error}). Check its permissions and those of "
            "its folders."
        ) from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The configuration {file} cannot be read as YAML: {reason}.") from error
    if not isinstance(content, dict):
        kind = "nothing" if content is None else f"a {type(content).__name__}"
        raise InputError(f"The configuration {file} holds {kind}, expected settings by name, such as data: or model:.")
    if not isinstance(content.get("trainer", {}), dict):
        raise InputError(f"The configuration {file} has trainer: {content['trainer']}, expected its settings by name.")
    return content, content != plain


def _parts(content: Any, key: str) -> list[str]:
    if not isinstance(content, dict):
        return []
    if "class_path" in content:
        return [key]
    return [found for name, value in content.items() for found in _parts(value, f"{key}.{name}".lstrip("."))]


def prepared(given: list[str]) -> list[str]:
    """Return a command line as the parser takes it: `~` filled in, and what becomes of settings that it excludes.

    The shell fills in `~` at the beginning of a word alone, not in `--data.root=~/camvid`.
    """
    return on_command_line([_expanded(word) for word in given])


def _expanded(word: str) -> str:
    name, _, value = word.partition("=")
    return f"{name}={Path(value).expanduser()}" if word.startswith("--") and value.startswith("~/") else word


def files_first(given: list[str]) -> list[str]:
    """Return a command line with its configuration files first: a setting goes over them wherever it stands.

    Raises:
        InputError: the last word asks for a file and names none.
    """
    files: list[str] = []
    settings: list[str] = []
    words = iter(given)
    for word in words:
        if word in ("-c", "--config"):
            if (name := next(words, None)) is None:
                raise InputError("--config has no file behind it. Name one, such as configs/camvid_static.yaml.")
            files.append(f"--config={name}")
        else:
            (files if word.startswith("--config=") else settings).append(word)
    return [*files, *settings]


NARROWEST_FIRST = (bool, int, float, str)
"""What each of these reads, the ones behind it read too: 1 as 1.0, and as '1'."""


def narrowest_first(hint: Any) -> Any:
    """Return a type hint whose numbers and text stand in one order: jsonargparse takes the first that reads a value.

    The order in the source does not tell: Python caches unions, and holds `Union[int, float]` and `Union[float, int]`
    for the same, so that either may come out of `Optional`, as the modules that were imported before wrote it.
    """
    if get_origin(hint) not in (Union, UnionType):
        return hint
    members = get_args(hint)
    ordered = iter([kind for kind in NARROWEST_FIRST if kind in members])
    # of a tuple of types that are no unions themselves the cache knows the order
    members = tuple(next(ordered) if member in NARROWEST_FIRST else member for member in members)
    return Union[members]  # noqa: UP007


class Parser(LightningArgumentParser):
    """Lightning's parser, with configuration files as above, and its complaints as sentences."""

    def error(self, message: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Leave out the usage and the types that were tried.

        Raises:
            InputError: always, except from the parser of a part, whose complaint the whole's then quotes.
        """
        if not self.exit_on_error:
            super().error(message, *args, **kwargs)
        raise InputError(sentence(message))

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an argument."""
        if kwargs.get("action") is ActionConfigFile:
            kwargs["action"] = ConfigFile
        action = super().add_argument(*args, **kwargs)
        if hint := getattr(action, "_typehint", None):  # there is no other way to a type that a signature gives
            action._typehint = narrowest_first(hint)
        return action
