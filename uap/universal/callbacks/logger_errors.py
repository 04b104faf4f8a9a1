"""Errors of loggers: what a dashboard cannot show is a warning, for the run and its files are whole without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pytorch_lightning.loggers import Logger

GUARDED = ("log_metrics", "save", "finalize")
"""The methods that Lightning calls of a logger once a run has begun."""


@contextmanager
def only_warned(logger: Logger) -> Iterator[None]:
    """Turn an error of a logger into a warning."""
    try:
        yield
    except Exception as error:  # whatever a library and its network may raise
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"warning: {type(logger).__name__} failed, and what it shows is not whole: {reason}", flush=True)


def guarded(logger: Logger) -> Logger:
    """Return a logger whose errors from now on are warnings; its construction and its start may still fail."""
    for name in GUARDED:
        setattr(logger, name, partial(_call, logger, name))
    return logger


def _call(logger: Logger, name: str, *args: Any, **kwargs: Any) -> None:
    with only_warned(logger):
        getattr(type(logger), name)(logger, *args, **kwargs)
