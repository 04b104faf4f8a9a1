"""Settings that exclude each other: the one that is given later takes the other one's place."""

from typing import Any

import yaml

RIVALS: dict[str, tuple[str, str | None]] = {
    "model.objective.image": ("model.objective.labels", None),
    "model.objective.labels": ("model.objective.image", None),
    "model.start_epsilon": ("model.parametrization", "clip"),
    "model.parametrization": ("model.start_epsilon", None),
}
"""By its name without `init_args`: which setting each one excludes, and the value of that one that it goes with."""

NEUTRAL = (None, "clip")
"""Values that exclude nothing."""


def overridden(given: dict[str, Any]) -> dict[str, str | None]:
    """Return what becomes of earlier settings when these are given, by name.

    Of two that are given together none is left out: that is a mistake, and is refused later.
    """
    excluding = [name for name in RIVALS if given.get(name) not in NEUTRAL]
    return {RIVALS[name][0]: RIVALS[name][1] for name in excluding if RIVALS[name][0] not in given}


def flat(content: Any, name: str = "") -> dict[str, Any]:
    """Return the settings of a configuration by their dotted names without `init_args`."""
    if not isinstance(content, dict):
        return {name: content}
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= flat(value, name if key == "init_args" else f"{name}.{key}".lstrip("."))
    return found


def on_command_line(words: list[str]) -> list[str]:
    """Return a command line that says too what becomes of the settings of its configurations."""
    given: dict[str, Any] = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.removeprefix("--").replace(".init_args", "").partition("=")
        if word.startswith("--") and name in RIVALS:
            given[name] = None if _is_null(value if equals else following) else value if equals else following
    return [*words, *(f"--{name}={'null' if value is None else value}" for name, value in overridden(given).items())]


def _is_null(text: str) -> bool:
    try:
        return yaml.safe_load(text) is None
    except yaml.YAMLError:
        return False
