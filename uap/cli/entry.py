"""How a command runs: what is wrong becomes a sentence and exit code 2, and a signal a sentence."""

import errno
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from uap.cli.lightning_cli import SaveConfig
from uap.universal.callbacks.interruption import end_at_once, take_signals
from uap.utils.errors import InputError
from uap.utils.memory import keep_freed_memory
from uap.utils.progress import drop_chatter
from uap.utils.run_folder import discard_empty, is_first, no_room, resume_hint

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a disk, or a user's share of it, that is full."""

OUT_OF_MEMORY = ("can't allocate memory", "Unable to allocate", "MemoryError")
"""What torch, NumPy and Python say of a memory that is full, where that comes as another error."""


def run_command(main: Callable[[], object]) -> None:
    """Run a command: bad input becomes a sentence and exit code 2, and a signal a sentence."""
    keep_freed_memory()
    drop_chatter()
    torch.set_float32_matmul_precision("high")
    # Lightning's use of torch's tree utilities; it says nothing to a user.
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")
    # The figures that are logged are those of all ranks already.
    warnings.filterwarnings("ignore", "It is recommended to use `self.log")
    # A run that is resumed continues in its own folder.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    before = take_signals(end_at_once)
    try:
        main()
    except (InputError, MisconfigurationException) as error:
        # From a worker of a DataLoader the message comes wrapped in the worker's traceback.
        _refuse(str(error).rsplit("InputError: ", 1)[-1].strip())
    except OSError as error:
        if error.errno in FULL:
            _refuse(no_room(error.filename or "A file of the run", error))
        if error.filename is None:
            raise
        _refuse(f"{error.filename} cannot be read or written ({error.strerror}). Check the path and its permissions.")
    except (MemoryError, RuntimeError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[-1]  # behind the traceback of a worker
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(s in said for s in OUT_OF_MEMORY):
            raise
        _refuse(f"The memory is full ({said}). Take smaller batches or images.{resume_hint()}")
    finally:
        for worker in multiprocessing.active_children():  # they outlive the SIGTERM of an exit, which waits for them
            worker.kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse(sentence: str) -> NoReturn:
    """Say what is wrong, and leave; before the run has begun the first process does so for all."""
    if is_first():
        discard_empty()
        print(f"error: {sentence}", file=sys.stderr)
    elif SaveConfig.begun:
        print(f"rank {torch.distributed.get_rank()}: error: {sentence}", file=sys.stderr)
    raise SystemExit(2) from None
