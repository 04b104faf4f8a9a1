"""The one error that a user's own input can cause, and quotes of the errors of other libraries."""

import re

LONGEST_QUOTE = 300
"""The longest quote of an error of another library, in characters."""


class InputError(Exception):
    """Something that the user gave cannot be used.

    The message is a sentence or two: what was got, what was expected, what to do. The commands print it without a
    traceback and end with exit code 2; every other exception is a fault of the program and keeps its traceback.
    """


def input_error_in(error: BaseException) -> InputError | None:
    """Return the input error that another library wrapped into an error of its own, if there is one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    return cause


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, to be quoted: whole sentences, or words of a long one."""
    line = str(error).strip().split("\n")[0] or type(error).__name__
    if len(line) <= LONGEST_QUOTE:
        return line
    ends = [match.end() for match in re.finditer(r"[.!?;](?=\s)", line[: LONGEST_QUOTE + 1])]
    return line[: ends[-1]] if ends else f"{line[:LONGEST_QUOTE].rpartition(' ')[0] or line[:LONGEST_QUOTE]} ..."
