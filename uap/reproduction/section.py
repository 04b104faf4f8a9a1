"""Mappings of a YAML file, read key by key; errors name the key and what was expected."""

from pathlib import Path
from typing import Any, TypeVar, cast

from uap.configuration.plain_yaml import plain_yaml
from uap.utils.errors import InputError

T = TypeVar("T")
Default = TypeVar("Default")

WORDS = {str: "text", dict: "names with values", list: "a list", int: "a whole number", bool: "true or false"}
"""The names of types in messages."""


class Section:
    """A mapping whose keys are taken one by one. Keys that are left at the end are unknown.

    Attributes:
        location: the file and the keys that lead to the mapping, for messages.
    """

    def __init__(self, content: Any, location: str) -> None:
        """Store the mapping.

        Raises:
            InputError: `content` is not a mapping.
        """
        self.location = location
        self._content = dict(_checked(content, dict, location))
        self._known: list[str] = []

    def need(self, key: str, kind: type[T]) -> T:
        """Return the value of a required key.

        Raises:
            InputError: the key is missing, or its value has another type.
        """
        if key not in self._content:
            raise InputError(f"{self.location} has no `{key}`, expected {WORDS[kind]}. Add it.")
        return cast(T, self.take(key, kind, None))

    def take(self, key: str, kind: type[T], default: Default) -> T | Default:
        """Return the value of a key, or the default if the key is missing.

        Raises:
            InputError: the value has another type.
        """
        self._known.append(key)
        if key not in self._content:
            return default
        return _checked(self._content.pop(key), kind, f"`{key}` of {self.location}")

    def take_section(self, key: str) -> "Section":
        """Return the mapping of a key; it is empty if the key is missing."""
        return Section(self.take(key, dict, {}), f"`{key}` of {self.location}")

    def rest(self) -> dict[str, Any]:
        """Take all keys that are left, and return them as text with their values."""
        rest, self._content = self._content, {}
        return {str(key): value for key, value in rest.items()}

    def end(self) -> None:
        """Check that every key was taken.

        Raises:
            InputError: a key was not taken, so it is unknown.
        """
        if self._content:
            raise InputError(
                f"{self.location} has an unknown `{next(iter(self._content))}`, expected {', '.join(self._known)}."
            )


def read_section(path: Path) -> Section:
    """Read a YAML file.

    Raises:
        InputError: the file cannot be read, or is not a YAML mapping.
    """
    try:
        return Section(plain_yaml(path.read_text(encoding="utf-8"), aliases=True), str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as YAML ({' '.join(str(error).split())}). Check the file.") from error


def _checked(value: Any, kind: type[T], location: str) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = "nothing" if value is None else f"the {type(value).__name__} {value!r}"
        raise InputError(f"{location} holds {found}, expected {WORDS[kind]}.")
    return value
