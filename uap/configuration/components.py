"""Single components of a configuration, built without the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from jsonargparse import ArgumentError

from uap.configuration.class_errors import construction
from uap.configuration.composition import read_settings
from uap.configuration.config_files import Parser
from uap.configuration.parser_messages import fault
from uap.utils.errors import InputError
from uap.utils.paths import check_file

T = TypeVar("T")


def build_component(file: Path, key: str, kind: type[T], **changes: Any) -> T:
    """Build the object that a configuration file describes under a dotted key such as `model.victim`.

    Args:
        file: a YAML file with `class_path` and `init_args` under the key.
        key: dotted key of the component.
        kind: class or base class of the object.
        changes: values that replace those of `init_args`.

    Raises:
        InputError: the file does not describe the component, or the component cannot be built.
    """

    def add(parser: Parser) -> None:
        parser.add_subclass_arguments(kind, "component", required=True, fail_untyped=False)

    return cast(T, _built(file, key, add, changes))


def build_factory(file: Path, key: str, kind: Any) -> Any:
    """Build the callable that a configuration file describes under a key: a class with all but its first argument.

    Args:
        file: a YAML file with `class_path` and `init_args` under the key.
        key: dotted key of the component.
        kind: the type of the callable, such as `Callable[[Victim], WrappedVictim]`.

    Raises:
        InputError: the file does not describe the component.
    """
    return _built(file, key, lambda parser: parser.add_argument("--component", type=kind, required=True), {})


def _built(file: Path, key: str, add: Callable[[Parser], object], changes: dict[str, Any]) -> Any:
    """Build a component; `add` adds the argument `component` to a parser."""
    check_file(file, "configuration")
    try:
        block = read_settings(file)
        for name in key.split("."):
            block = block[name]
        block["init_args"] = (block.get("init_args") or {}) | changes
        parser = Parser(exit_on_error=False)
        add(parser)
        with construction(block, key):
            built = parser.instantiate_classes(parser.parse_object({"component": block}))
    except ArgumentError as error:
        reason = fault(str(error).replace('"component', f'"{key}', 1))
        raise InputError(f"{file}: {reason}. Compare it with configs/victim/.", kind="unusable_file") from error
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{file} describes no {key} ({str(error).strip()}). Expected {key} with class_path and init_args, as in "
            "configs/victim/ or the config.yaml of a run.",
            kind="unusable_file",
        ) from error
    return built.component
