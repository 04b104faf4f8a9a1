"""Mappings of a YAML file, read so that whatever is wrong with them is a sentence."""

from pathlib import Path
from typing import Any, TypeVar, cast

from uap.configuration.plain_yaml import plain_yaml
from uap.utils.errors import InputError

T = TypeVar("T")
Default = TypeVar("Default")

WORDS = {str: "text", dict: "names with values", list: "a list", int: "a whole number", bool: "true or false"}
"""What a person calls the types."""


class Section:
    """A mapping whose keys are taken one by one; what is left at the end is unknown.

    Attributes:
        place: the file and the keys that lead here, for messages.
    """

    def __init__(self, content: Any, place: str) -> None:
        """Hold `content`.

        Raises:
            InputError: it is no mapping.
        """
        self.place = place
        self._content = dict(_checked(content, dict, place))
        self._known: list[str] = []

    def need(self, key: str, kind: type[T]) -> T:
        """Return the value of a key that must be there.

        Raises:
            InputError: it is missing or of another kind.
        """
        if key not in self._content:
            raise InputError(f"{self.place} has no `{key}`, expected {WORDS[kind]}. Add it.")
        return cast(T, self.take(key, kind, None))

    def take(self, key: str, kind: type[T], default: Default) -> T | Default:
        """Return the value of a key, the default where there is none.

        Raises:
            InputError: it is of another kind.
        """
        self._known.append(key)
        if key not in self._content:
            return default
        return _checked(self._content.pop(key), kind, f"`{key}` of {self.place}")

    def take_section(self, key: str) -> "Section":
        """Return the mapping of a key, empty where there is none."""
        return Section(self.take(key, dict, {}), f"`{key}` of {self.place}")

    def rest(self) -> dict[str, Any]:
        """Return the keys that were not taken, each as text, and take them."""
        rest, self._content = self._content, {}
        return {str(key): value for key, value in rest.items()}

    def end(self) -> None:
        """Check that every key was taken.

        Raises:
            InputError: one was not.
        """
        if self._content:
            raise InputError(
                f"{self.place} has an unknown `{next(iter(self._content))}`, expected {', '.join(self._known)}."
            )


def read_section(path: Path) -> Section:
    """Read a YAML file.

    Raises:
        InputError: it is not there, or no YAML with names and values.
    """
    try:
        return Section(plain_yaml(path.read_text(encoding="utf-8"), aliases=True), str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as YAML ({' '.join(str(error).split())}). Check the file.") from error


def _checked(value: Any, kind: type[T], place: str) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = "nothing" if value is None else f"the {type(value).__name__} {value!r}"
        raise InputError(f"{place} holds {found}, expected {WORDS[kind]}.")
    return value
