"""Progress output of commands: bars on a terminal, lines in a log, nothing in quiet mode."""

import logging
import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

QUIET = "UAP_QUIET"
"""The environment variable of the quiet mode. The processes of DDP and the data workers inherit it."""

LIGHTNING = ("pytorch_lightning", "lightning_fabric")
"""Names of the Python loggers of Lightning."""

IGNORED = (
    "`weights_only` was not set",
    "TPU available",
    "Tip:",
    "Loading `train_dataloader`",
    "`Trainer.fit` stopped",
    "LOCAL_RANK",
    "Seed set to",
    "Restoring states from",
    "SLURM auto-requeueing enabled",  # a run installs its own signal handlers
)
"""Parts of log messages of Lightning that say nothing about the run."""


def progress(things: Iterable[T], title: str, unit: str, total: int | None = None) -> Iterable[T]:
    """Return `things` with a progress bar and the time left; without a bar in logs and in quiet mode."""
    return tqdm(things, title, total, unit=unit, leave=False, disable=True if is_quiet() else None)


def shows_bars() -> bool:
    """Return whether progress bars are shown: on a terminal, and not in quiet mode."""
    return sys.stderr.isatty() and not is_quiet()


def time_left(seconds: float) -> str:
    """Return a remaining time in seconds as text, such as `1:05 left`."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d} left"


def is_quiet() -> bool:
    """Return whether the quiet mode is on: only results, warnings and errors are printed."""
    return bool(os.environ.get(QUIET))


def be_quiet() -> None:
    """Switch the quiet mode on: from now on, only results, warnings and errors are printed."""
    os.environ[QUIET] = "1"
    os.environ["WANDB_SILENT"] = "true"
    for name in LIGHTNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def filter_lightning_messages() -> None:
    """Suppress the log messages of Lightning that say nothing about the run."""
    connectors = [f"pytorch_lightning.trainer.connectors.{name}_connector" for name in ("checkpoint", "signal")]
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed", *connectors):
        logging.getLogger(name).addFilter(lambda record: not any(part in record.getMessage() for part in IGNORED))
