"""The error for unusable user input, and helpers that quote errors of other libraries."""

import contextlib
import re
from collections.abc import Iterator
from typing import Literal

LONGEST_QUOTE = 300
"""Maximal length of a quoted error message, in characters."""

Kind = Literal[
    "missing_file",
    "unusable_file",
    "missing_setting",
    "unknown_name",
    "out_of_range",
    "wrong_type",
    "wrong_shape",
    "not_finite",
    "conflict",
    "not_supported",
]
"""The kinds of faults of user input.

- `missing_file`: a file or folder does not exist.
- `unusable_file`: a file or folder cannot be read or written, or its content cannot be used.
- `missing_setting`: a setting or argument is required and was not given.
- `unknown_name`: a name is not one of the known names.
- `out_of_range`: a number, or a count of items, is outside the accepted range.
- `wrong_type`: a value has another type or dtype than expected.
- `wrong_shape`: a tensor or an image has another shape than expected.
- `not_finite`: numbers are NaN or infinite.
- `conflict`: two settings, or a setting and an existing result, contradict each other.
- `not_supported`: a value is valid in itself, but this network, library or machine cannot be used with it.
"""


class InputError(Exception):
    """A setting, argument or file of the user cannot be used.

    The message says in one or two sentences which value was found, which was expected, and what to do. Commands print
    the message without a traceback and exit with code 2. Any other exception is a bug and keeps its traceback.

    Attributes:
        setting: the setting at fault by its dotted name in a configuration, such as `model.epsilon`, or the argument of
            a function by its name; None if the fault is not in a single setting.
        kind: the kind of the fault; None if it is not classified.

    Example:
        >>> error = InputError("model.epsilon is 0, expected 1 to 255.", setting="model.epsilon", kind="out_of_range")
        >>> str(error), error.setting, error.kind
        ('model.epsilon is 0, expected 1 to 255.', 'model.epsilon', 'out_of_range')
    """

    def __init__(self, message: str = "", *, setting: str | None = None, kind: Kind | None = None) -> None:
        """Store the message, the setting and the kind."""
        super().__init__(message)
        self.setting = setting
        self.kind: Kind | None = kind


@contextlib.contextmanager
def in_setting(name: str) -> Iterator[None]:
    """Set the setting of an `InputError` that is raised inside and names none.

    Example:
        >>> try:
        ...     with in_setting("model.victim.weights"):
        ...         raise InputError("There is no file a.pth.", kind="missing_file")
        ... except InputError as error:
        ...     error.setting
        'model.victim.weights'
    """
    try:
        yield
    except InputError as error:
        error.setting = error.setting or name
        raise


@contextlib.contextmanager
def in_message_of(title: str) -> Iterator[None]:
    """Put a title before the message of an `InputError` that is raised inside.

    Example:
        >>> try:
        ...     with in_message_of("street.png"):
        ...         raise InputError("It has no pixels.", kind="unusable_file")
        ... except InputError as error:
        ...     print(error, error.kind)
        street.png: It has no pixels. unusable_file
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{title}: {error}", setting=error.setting, kind=error.kind) from error


def input_error_in(error: BaseException) -> InputError | None:
    """Return the first `InputError` in the chain of causes of an error, or None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    return cause


def first_line(error: BaseException) -> str:
    """Return the first line of an error message; a line above `LONGEST_QUOTE` is cut after a sentence or a word."""
    line = str(error).strip().split("\n")[0] or type(error).__name__
    if len(line) <= LONGEST_QUOTE:
        return line
    ends = [match.end() for match in re.finditer(r"[.!?;](?=\s)", line[: LONGEST_QUOTE + 1])]
    return line[: ends[-1]] if ends else f"{line[:LONGEST_QUOTE].rpartition(' ')[0] or line[:LONGEST_QUOTE]} ..."
