"""The format of values on the page; a dash stands for anything that is not a number."""

from typing import Any, TypeGuard

LARGEST = 1e300
"""Largest absolute value that counts as a number; the axes of a chart cannot show larger ones."""

NOTHING = "\N{EN DASH}"


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether the value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def percent(share: Any) -> str:
    """Return a share from 0 to 1 in per cent, with one decimal."""
    return f"{100 * share:.1f} %" if is_number(share) else NOTHING


def count(value: Any) -> str:
    """Return a whole number with thousands separators."""
    return f"{round(value):,}" if is_number(value) else NOTHING


def plain(value: Any) -> str:
    """Return a short text: numbers with six digits, lists as "a x b", and names unchanged."""
    if isinstance(value, list):
        return " \N{MULTIPLICATION SIGN} ".join(map(plain, value)) or NOTHING
    if is_number(value):
        return f"{value:,.6g}"
    return str(value) if isinstance(value, str) and value else NOTHING
