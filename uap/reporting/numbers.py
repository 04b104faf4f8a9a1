"""How the page writes values; what is no number is a dash."""

from typing import Any, TypeGuard

LARGEST = 1e300
"""A number beyond it is none: the axes of a chart could not hold it."""

NOTHING = "\N{EN DASH}"


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether this is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def percent(share: Any) -> str:
    """Return a share, 0 to 1, as per cent with one decimal."""
    return f"{100 * share:.1f} %" if is_number(share) else NOTHING


def count(value: Any) -> str:
    """Return a whole number with its thousands apart."""
    return f"{round(value):,}" if is_number(value) else NOTHING


def plain(value: Any) -> str:
    """Return numbers short, lists as a x b, names as they stand."""
    if isinstance(value, list):
        return " \N{MULTIPLICATION SIGN} ".join(map(plain, value)) or NOTHING
    if is_number(value):
        return f"{value:,.6g}"
    return str(value) if isinstance(value, str) and value else NOTHING
