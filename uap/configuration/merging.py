"""Merging of configurations: later settings override earlier ones."""

from typing import Any

from uap.configuration.exclusive_settings import flat, overridden

LONG_FORM = {"class_path", "init_args", "dict_kwargs"}
"""The keys of a component in its long form. In its short form, it is the class alone or its settings alone."""


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of two configurations, combined as two `--config` of a command line are.

    Later values override earlier ones at any depth. A later component with a `class_path` replaces the earlier one as a
    whole. A later setting resets the earlier setting that it excludes: `image` resets `labels` of a static target.

    Args:
        earlier: settings by name; they are not changed.
        later: settings by name.
    """
    present = flat(earlier)
    reset = {name: value for name, value in overridden(flat(later)).items() if present.get(name) is not None}
    combined: dict[str, Any] = _merged(_replaced(earlier, reset), later)
    return combined


def _merged(earlier: Any, later: Any) -> Any:
    if not isinstance(later, dict) or "class_path" in later:
        return later
    if isinstance(earlier, str):
        earlier = {"class_path": earlier}
    if not isinstance(earlier, dict):
        return later
    if LONG_FORM & (earlier.keys() | later.keys()):
        earlier, later = _long(earlier), _long(later)
    return earlier | {name: _merged(earlier.get(name), value) for name, value in later.items()}


def _long(component: dict[str, Any]) -> dict[str, Any]:
    return component if component.keys() <= LONG_FORM else {"init_args": component}


def _replaced(content: Any, values: dict[str, str | None], key: str = "") -> Any:
    """Return settings with some values replaced. The new values are given by dotted name without `init_args`."""
    if not isinstance(content, dict):
        return values.get(key, content)
    return {
        name: _replaced(value, values, key if name == "init_args" else f"{key}.{name}".lstrip("."))
        for name, value in content.items()
    }
