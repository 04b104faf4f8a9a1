"""Single parts of a configuration, built without the rest of it."""

from pathlib import Path
from typing import Any, TypeVar, cast

from jsonargparse import ArgumentError

from uap.configuration.class_errors import construction
from uap.configuration.config_files import Parser
from uap.configuration.config_paths import read_settings
from uap.configuration.parser_messages import fault
from uap.utils.errors import InputError
from uap.utils.paths import check_file

T = TypeVar("T")


def build_part(file: Path, key: str, kind: type[T], **changes: Any) -> T:
    """Build what a configuration has under a dotted key such as `model.victim`.

    Args:
        file: a YAML file with `class_path` and `init_args` there.
        key: where.
        kind: the class that it must be, or one below it.
        changes: go over its `init_args`.

    Raises:
        InputError: the file has no such part, or one that cannot be built.
    """
    check_file(file, "configuration")
    try:
        block = read_settings(file)
        for name in key.split("."):
            block = block[name]
        block["init_args"] = (block.get("init_args") or {}) | changes
        parser = Parser(exit_on_error=False)
        parser.add_subclass_arguments(kind, "part", required=True, fail_untyped=False)
        with construction(block, key):
            built = parser.instantiate_classes(parser.parse_object({"part": block}))
    except ArgumentError as error:
        reason = fault(str(error).replace('"part', f'"{key}', 1))
        raise InputError(f"{file}: {reason}. Compare it with configs/victim/.") from error
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{file} describes no {key} ({str(error).strip()}). Expected {key} with class_path and init_args, as in "
            "configs/victim/ or the config.yaml of a run."
        ) from error
    return cast(T, built.part)
