"""Files that are written completely or not at all."""

import contextlib
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` when the block ends without an error.

    The folder of `path` is created. The temporary path has the same suffix as `path` and a random name, so several
    processes may write the same file at the same time. The file gets the default permissions of a new file in its
    folder, even if a library restricts them (safetensors does).

    Args:
        path: the file to write.

    Raises:
        OSError: the file cannot be written. An existing file stays unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    temporary.touch()
    mode = temporary.stat().st_mode
    temporary.unlink()  # if the caller writes nothing, no empty file may take the name
    try:
        yield temporary
        if temporary.is_file() and temporary.stat().st_mode != mode:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
