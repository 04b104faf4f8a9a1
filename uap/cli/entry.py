"""Execution of a command: expected errors and signals end it with a message and an exit code."""

import errno
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from uap.cli.lightning_cli import SaveConfig
from uap.universal.callbacks.interruption import end_at_once, take_signals
from uap.utils.errors import InputError
from uap.utils.memory import keep_freed_memory
from uap.utils.progress import filter_lightning_messages
from uap.utils.run_folder import is_local_rank_zero, remove_empty_run_folder, resume_hint, write_error_message

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exhausted quota, and a file that is too large."""

OUT_OF_MEMORY = ("can't allocate memory", "Unable to allocate", "MemoryError")
"""Messages of torch, NumPy and Python about full memory that are raised as another type of error."""


PACKAGE = Path(__file__).parents[1]
"""The folder of this package, whose warnings are meant for users."""

_with_place = warnings.formatwarning


def one_line_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning as text: those of this package without the place in its code, which tells a user nothing."""
    if category is UserWarning and PACKAGE in Path(filename).parents:
        return f"warning: {message}\n"
    return _with_place(message, category, filename, lineno, line)


def run_command(main: Callable[[], object]) -> None:
    """Run a command: for bad input, a full disk or full memory, print one message and exit with code 2."""
    keep_freed_memory()
    filter_lightning_messages()
    torch.set_float32_matmul_precision("high")
    warnings.formatwarning = one_line_warning
    # A warning of torch about code of Lightning, which a user cannot change.
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")
    # The logged metrics already cover all ranks.
    warnings.filterwarnings("ignore", "It is recommended to use `self.log")
    # A resumed run writes to its old folder.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    before = take_signals(end_at_once)
    try:
        refusal = _refusal_of(main)
    finally:
        for worker in multiprocessing.active_children():  # the exit waits for them, and they ignore its SIGTERM
            worker.kill()
        for number, handler in before.items():
            signal.signal(number, handler)
    if refusal is not None:
        _refuse(refusal)


def _refusal_of(main: Callable[[], object]) -> str | None:
    """Run a command; return the message of an expected error, or None.

    The error is not kept: it would hold loaders, which must end their workers by themselves before these are killed.
    """
    try:
        main()
    except (InputError, MisconfigurationException) as error:
        # A DataLoader worker wraps the message in its traceback.
        return str(error).rsplit("InputError: ", 1)[-1].strip()
    except OSError as error:
        if error.errno in FULL:
            return write_error_message(error.filename or "A file of the run", error)
        if error.filename is None:
            raise
        return f"{error.filename} cannot be read or written ({error.strerror}). Check the path and its permissions."
    except (MemoryError, RuntimeError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[-1]  # after the traceback of a worker
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(s in line for s in OUT_OF_MEMORY):
            raise
        return f"The memory is full ({line}). Use smaller batches or images.{resume_hint()}"
    return None


def _refuse(message: str) -> NoReturn:
    """Print an error and exit with code 2. Before the run begins, only the first process of a node prints."""
    if is_local_rank_zero():
        remove_empty_run_folder()
        print(f"error: {message}", file=sys.stderr)
    elif SaveConfig.begun:
        print(f"rank {torch.distributed.get_rank()}: error: {message}", file=sys.stderr)
    raise SystemExit(2) from None
