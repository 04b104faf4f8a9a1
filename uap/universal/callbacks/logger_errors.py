"""Errors of loggers as warnings, because a run and its files are complete without a logger."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pytorch_lightning.loggers import Logger

GUARDED = ("log_metrics", "save", "finalize")
"""The methods of loggers that Lightning calls during a run."""


@contextmanager
def errors_as_warnings(logger: Logger) -> Iterator[None]:
    """Turn an error of a logger into a warning."""
    try:
        yield
    except Exception as error:  # the library of a logger may raise any error
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"warning: {type(logger).__name__} failed, and its data is incomplete: {reason}", flush=True)


def guarded(logger: Logger) -> Logger:
    """Return a logger whose errors during a run are warnings; errors before the run are still raised."""
    for name in GUARDED:
        setattr(logger, name, partial(_call, logger, name))
    return logger


def _call(logger: Logger, name: str, *args: Any, **kwargs: Any) -> None:
    with errors_as_warnings(logger):
        getattr(type(logger), name)(logger, *args, **kwargs)
