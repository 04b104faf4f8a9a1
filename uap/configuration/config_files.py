"""The parser of commands: several configuration files and the command line are merged into one configuration."""

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

from uap.configuration.composition import compose, read_settings
from uap.configuration.exclusive_settings import flat, overridden, with_overridden_settings
from uap.configuration.parser_messages import kind_of, sentence, setting_of
from uap.configuration.plain_yaml import plain_yaml
from uap.utils import paths
from uap.utils.errors import InputError, in_setting

# a configuration may only name classes of the type of a setting: not functions such as os.system, and no class at all
# if the setting has no type
set_parsing_settings(import_path_denylist=[], instantiate_subclass_spec_in_any=False)
# PyYAML raises the last three errors for tags without a value, such as !!int; they are errors of YAML as well
set_loader("yaml", get_loader("yaml"), (yaml.YAMLError, LookupError, AttributeError, TypeError))


class ConfigFile(ActionConfigFile):
    """The action of `--config`: each file overrides earlier files value by value, and components as a whole.

    A component with a `class_path` in the later file does not inherit `init_args` of the earlier files. jsonargparse
    would keep them for the same class: a network without its own mean would get the mean of the earlier network.
    """

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Merge a file into the configuration.

        Raises:
            InputError: the file cannot be read, or contains no settings.
        """
        content, is_changed = read_configuration(values)
        for key in _component_keys(content, ""):
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
    """Return the settings of a configuration file, and whether `defaults` or resolved paths changed them.

    Args:
        file: path of the file, or the settings themselves as text that begins with `{`.

    Raises:
        InputError: the file cannot be read, or contains no settings.
    """
    try:
        if file.lstrip().startswith("{"):  # settings instead of a path
            content, plain = plain_yaml(file), plain_yaml(file)
            content = compose(content, Path.cwd(), "--config") if isinstance(content, dict) else content
        else:
            path = paths.find(file)
            with in_setting("config"):
                paths.check_file(path, "configuration")
            content, plain = read_settings(path), plain_yaml(path.read_text())
    except OSError as error:
        raise InputError(
            f"The configuration {file} cannot be read ({error.strerror or error}). Check its permissions and those of "
            "its folders.",
            setting="config",
            kind="unusable_file",
        ) from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"The configuration {file} cannot be read as YAML: {reason}.", setting="config", kind="unusable_file"
        ) from error
    if not isinstance(content, dict):
        kind = "nothing" if content is None else f"a {type(content).__name__}"
        raise InputError(
            f"The configuration {file} holds {kind}, expected settings by name, such as data: or model:.",
            setting="config",
            kind="unusable_file",
        )
    if not isinstance(content.get("trainer", {}), dict):
        raise InputError(
            f"The configuration {file} has trainer: {content['trainer']}, expected its settings by name.",
            setting="trainer",
            kind="wrong_type",
        )
    return content, content != plain


def _component_keys(content: Any, key: str) -> list[str]:
    """Return the dotted keys of the components of a configuration: the mappings with a `class_path`."""
    if not isinstance(content, dict):
        return []
    if "class_path" in content:
        return [key]
    return [found for name, value in content.items() for found in _component_keys(value, f"{key}.{name}".lstrip("."))]


def prepared_command_line(words: list[str]) -> list[str]:
    """Return a command line with `~` expanded, and with the exclusive settings that it overrides reset.

    The shell expands `~` only at the beginning of a word, not in `--data.root=~/camvid`.
    """
    return with_overridden_settings([_expanded(word) for word in words])


def _expanded(word: str) -> str:
    name, _, value = word.partition("=")
    return f"{name}={Path(value).expanduser()}" if word.startswith("--") and value.startswith("~/") else word


def config_files_first(given: list[str]) -> list[str]:
    """Return a command line with its configuration files first, so that settings override all of them.

    Raises:
        InputError: the last word is `--config` without a file.
    """
    files: list[str] = []
    settings: list[str] = []
    words = iter(given)
    for word in words:
        if word in ("-c", "--config"):
            if (name := next(words, None)) is None:
                raise InputError(
                    "--config is given without a file. Name one, such as configs/camvid_static.yaml.",
                    setting="config",
                    kind="missing_setting",
                )
            files.append(f"--config={name}")
        else:
            (files if word.startswith("--config=") else settings).append(word)
    return [*files, *settings]


NARROWEST_FIRST = (bool, int, float, str)
"""Types of plain values. Each one also accepts the values of those before it: `float` reads 1, and `str` reads 1.0."""


def narrowest_first(hint: Any) -> Any:
    """Return a type hint with the plain types of a union in the order of `NARROWEST_FIRST`.

    jsonargparse takes the first type that accepts a value. The order in the source is not reliable: Python caches
    unions and treats `Union[int, float]` and `Union[float, int]` as equal, so the order depends on earlier imports.
    """
    if get_origin(hint) not in (Union, UnionType):
        return hint
    members = get_args(hint)
    ordered = iter([kind for kind in NARROWEST_FIRST if kind in members])
    # the cache distinguishes the order of a tuple of types that are not unions
    members = tuple(next(ordered) if member in NARROWEST_FIRST else member for member in members)
    return Union[members]  # noqa: UP007


class Parser(LightningArgumentParser):
    """The parser of Lightning with `ConfigFile` as the action of `--config`, and with input errors as messages.

    Abbreviated options are refused: a later version could give an abbreviation another meaning.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a parser; the arguments are those of `LightningArgumentParser`."""
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an input error with a short message, without the usage and the types that were tried.

        Raises:
            InputError: always, unless this parser raises errors (`exit_on_error=False`) for an enclosing parser.
        """
        if not self.exit_on_error:
            super().error(message, *args, **kwargs)
        raise InputError(sentence(message), setting=setting_of(message), kind=kind_of(message))

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an argument; its type is normalized by `narrowest_first`."""
        if kwargs.get("action") is ActionConfigFile:
            kwargs["action"] = ConfigFile
        action = super().add_argument(*args, **kwargs)
        if hint := getattr(action, "_typehint", None):  # jsonargparse has no public access to the type
            action._typehint = narrowest_first(hint)
        return action
