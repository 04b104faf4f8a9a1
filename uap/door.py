"""How a command runs: what is wrong becomes a sentence and exit code 2, and a signal a sentence."""

import errno
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.memory import is_oom_error

from uap.callbacks.interruption import end_at_once
from uap.cli import SaveConfig
from uap.errors import InputError
from uap.memory import keep_freed_memory
from uap.progress import drop_chatter
from uap.run_folder import discard_empty, is_first, no_room, resume_hint

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a disk, or a user's share of it, that is full."""


def door(main: Callable[[], object]) -> None:
    """Run a door: bad input becomes a sentence and exit code 2, and a signal a sentence, from the first moment on."""
    keep_freed_memory()
    drop_chatter()
    torch.set_float32_matmul_precision("high")
    # Lightning's use of torch's tree utilities; it says nothing to a user.
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")
    # The figures that are logged are those of all ranks already.
    warnings.filterwarnings("ignore", "It is recommended to use `self.log")
    before = {number: signal.signal(number, end_at_once) for number in (signal.SIGINT, signal.SIGTERM)}
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
        if not isinstance(error, MemoryError) and not is_oom_error(error):
            raise
        _refuse(f"The memory is full ({error}). Set a smaller --data.batch_size or --data.size.{resume_hint()}")
    finally:
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
