"""How a command shows that it is at work: bars on a terminal, lines in a log, nothing where quiet is asked."""

import logging
import os
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

QUIET = "UAP_QUIET"
"""The environment variable of the quiet mode, which processes that are started for DDP and data inherit."""

LIGHTNING = ("pytorch_lightning", "lightning_fabric")
"""Names of Lightning's loggers."""

CHATTER = (
    "`weights_only` was not set",
    "TPU available",
    "Tip:",
    "Loading `train_dataloader`",
    "`Trainer.fit` stopped",
    "LOCAL_RANK",
    "Seed set to",
    "Restoring states from",
    "SLURM auto-requeueing enabled",  # its handlers give way to those of a run
)
"""Parts of what Lightning says to everybody and what nobody needs."""


def progress(things: Iterable[T], title: str, unit: str, total: int | None = None) -> Iterable[T]:
    """Return `things` behind a bar with the time left; without one in a log and in the quiet mode."""
    return tqdm(things, title, total, unit=unit, leave=False, disable=True if is_quiet() else None)


def time_left(seconds: float) -> str:
    """Return a time as lines of a log show it: 1:05 left."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d} left"


def is_quiet() -> bool:
    """Return whether nothing but results, warnings and errors is to be printed."""
    return bool(os.environ.get(QUIET))


def be_quiet() -> None:
    """Print nothing but results, warnings and errors from now on."""
    os.environ[QUIET] = "1"
    os.environ["WANDB_SILENT"] = "true"
    for name in LIGHTNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def drop_chatter() -> None:
    """Leave out Lightning's lines that say nothing of the run."""
    connectors = [f"pytorch_lightning.trainer.connectors.{name}_connector" for name in ("checkpoint", "signal")]
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed", *connectors):
        logging.getLogger(name).addFilter(lambda record: not any(part in record.getMessage() for part in CHATTER))
