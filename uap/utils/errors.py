"""The error for unusable user input, and helpers that quote errors of other libraries."""

import re

LONGEST_QUOTE = 300
"""Maximal length of a quoted error message, in characters."""


class InputError(Exception):
    """A setting, argument or file of the user cannot be used.

    The message says in one or two sentences which value was found, which was expected, and what to do. Commands print
    the message without a traceback and exit with code 2. Any other exception is a bug and keeps its traceback.
    """


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
