"""Construction of HTML: every tag is closed, and all text is escaped."""

from collections.abc import Iterable
from html import escape

VOID = {"img", "input", "meta"}
"""The elements used here that have no end tag."""


class Markup(str):
    """A string of HTML. Any other string is text, which `tag` and `join` escape."""


def tag(name: str, /, *children: str | None, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        name: the name of the element.
        children: markup, which is kept, and text, which is escaped; None is left out.
        attributes: values are escaped. `class_` stands for class, and `data_x` for data-x. True gives an attribute
            without a value; None and False are left out.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    head = "".join(
        f" {key}" if value is True else f' {key}="{escape(_text(value))}"'
        for key, value in given.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{head}>") if name in VOID else Markup(f"<{name}{head}>{join(children)}</{name}>")


def join(children: Iterable[str | None]) -> Markup:
    """Concatenate markup and escaped text."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c, quote=False) for c in children if c is not None))


def _text(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
