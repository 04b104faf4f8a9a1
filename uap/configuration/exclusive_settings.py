"""Pairs of settings that exclude each other: the later setting replaces the earlier one."""

from typing import Any

import yaml

EXCLUSIVE: dict[str, tuple[str, str | None]] = {
    "model.objective.image": ("model.objective.labels", None),
    "model.objective.labels": ("model.objective.image", None),
    "model.start_epsilon": ("model.parametrization", "clip"),
    "model.parametrization": ("model.start_epsilon", None),
}
"""By name without `init_args`: the setting that each one excludes, and the value to which that one is reset."""

NEUTRAL = (None, "clip")
"""Values of these settings that exclude nothing."""


def overridden(given: dict[str, Any]) -> dict[str, str | None]:
    """Return the new values, by name, of the earlier settings that the given settings replace.

    If both settings of a pair are given at once, none is replaced. The command refuses them later.
    """
    excluding = [name for name in EXCLUSIVE if given.get(name) not in NEUTRAL]
    return {EXCLUSIVE[name][0]: EXCLUSIVE[name][1] for name in excluding if EXCLUSIVE[name][0] not in given}


def flat(content: Any, name: str = "") -> dict[str, Any]:
    """Return the settings of a configuration by dotted name without `init_args`."""
    if not isinstance(content, dict):
        return {name: content}
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= flat(value, name if key == "init_args" else f"{name}.{key}".lstrip("."))
    return found


def with_overridden_settings(words: list[str]) -> list[str]:
    """Return a command line with arguments appended that reset the settings it replaces."""
    given: dict[str, Any] = {}
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.removeprefix("--").replace(".init_args", "").partition("=")
        if word.startswith("--") and name in EXCLUSIVE:
            given[name] = None if _is_null(value if equals else following) else value if equals else following
    return [*words, *(f"--{name}={'null' if value is None else value}" for name, value in overridden(given).items())]


def _is_null(text: str) -> bool:
    try:
        return yaml.safe_load(text) is None
    except yaml.YAMLError:
        return False
