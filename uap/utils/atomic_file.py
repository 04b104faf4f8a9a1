"""A file that is there whole or not at all."""

import contextlib
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the place to write a file at, which takes the file's name once all is written; its folder is made.

    The place has the file's ending, and a name of its own: others may write the same file at the same time. Some
    libraries let nobody else read what they write (safetensors does): the file gets the mode of any new file there.

    Raises:
        OSError: it cannot be written; what was there before is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    temporary.touch()
    mode = temporary.stat().st_mode
    temporary.unlink()  # who writes nothing must not leave an empty file under the name
    try:
        yield temporary
        if temporary.is_file() and temporary.stat().st_mode != mode:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
