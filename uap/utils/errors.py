"""The one error that a user's own input can cause."""


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
