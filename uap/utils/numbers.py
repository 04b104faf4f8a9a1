"""The check of arguments that are numbers."""

import math
from numbers import Integral, Real
from typing import cast

from uap.utils.errors import InputError, Kind


def check_number(
    owner: str,
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    whole: bool = False,
    unit: str = "",
) -> None:
    """Check that an argument is a finite number within a range; `True` and `False` are no numbers.

    Args:
        owner: the class or function that got the argument, for the message.
        name: of the argument.
        value: what was given.
        low: the smallest value.
        high: the largest value.
        above: the argument is larger than it.
        below: the argument is smaller than it.
        whole: whether it must be an integer.
        unit: of the value, for the message.

    Raises:
        InputError: the argument has another type, is NaN or infinite, or out of range.

    Example:
        >>> check_number("SpatialConsistency", "patches", 50, low=1, whole=True)
        >>> check_number("SpatialConsistency", "patches", "a", low=1, whole=True)
        Traceback (most recent call last):
            ...
        uap.utils.errors.InputError: SpatialConsistency got patches='a', expected a whole number from 1.
    """
    kind: Kind
    given = cast(float, value)  # it is compared after its type is checked
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        kind = "wrong_type"
    elif not -math.inf < given < math.inf:
        kind = "not_finite"
    elif not (low <= given <= high and above < given < below):
        kind = "out_of_range"
    else:
        return
    bounds = [
        f"{word} {bound:,g}"
        for word, bound in (("from", low), ("above", above), ("up to", high), ("below", below))
        if math.isfinite(bound)
    ]
    expected = " ".join([f"a {'whole' if whole else 'finite'} number", *([f"of {unit}"] if unit else [])])
    both = math.isfinite(low) and math.isfinite(high)
    limits = f"from {low:,g} to {high:,g}" if both else " and ".join(bounds)
    text = f"{expected} {limits}" if limits else expected
    raise InputError(f"{owner} got {name}={value!r}, expected {text}.", setting=name, kind=kind)
