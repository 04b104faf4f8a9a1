"""Tables as Markdown that can be read as it stands, and files that are written whole or not at all."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

from uap.utils.atomic_file import whole_file
from uap.utils.errors import InputError


def markdown(header: list[str], rows: list[list[str]], names: int = 1) -> str:
    """Return a Markdown table with columns of even width; the first `names` stand to the left, others to the right."""
    cells = [header, *rows]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    lines = [" | ".join(_padded(row, widths, names)) for row in cells]
    rule = " | ".join(["-" * width for width in widths[:names]] + ["-" * (width - 1) + ":" for width in widths[names:]])
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]]) + "\n"


def _padded(row: list[str], widths: list[int], names: int) -> list[str]:
    return [
        cell.ljust(width) if column < names else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def csv_text(header: list[str], rows: list[list[Any]]) -> str:
    """Return the text of a CSV file; None is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([header, *rows])
    return file.getvalue()


def json_text(content: Any) -> str:
    """Return the text of a JSON file."""
    return json.dumps(content, indent=2) + "\n"


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Return what a JSON file holds that `json_text` made, with some keys at least.

    Raises:
        InputError: it is missing or damaged, or has no such key.
    """
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or any(key not in content for key in keys):
            raise ValueError(f"expected names with values, {', '.join(keys)} among them")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be used ({error}). Remove its folder, and run again what wrote it.") from error
    return content


def digest(*identity: Any) -> str:
    """Return a short name of everything that results depend on; plain values."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def check_same(path: Path, identity: str) -> None:
    """Check that a file of results is missing, or depends on the same as those that are to replace it.

    Args:
        path: the file, which has the digest in it.
        identity: the digest of what they depend on.

    Raises:
        InputError: it is of something else.
    """
    if path.exists() and (not path.is_file() or identity not in path.read_text(encoding="utf-8", errors="replace")):
        raise InputError(
            f"{path} is there already and of other runs or settings, which would be lost. Set another --out, or remove "
            "it."
        )


def writable(folder: Path) -> Path:
    """Return a folder that is made and can be written: found out before hours of scoring, not after.

    Raises:
        InputError: it cannot.
    """
    write(folder / ".writable", "")
    (folder / ".writable").unlink()
    return folder


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it; whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with whole_file(path) as file:
            file.write_text(text, encoding="utf-8", errors="replace")  # file names need not be UTF-8
    except (OSError, ValueError) as error:  # the latter of a name with a NUL
        raise InputError(f"{path} cannot be written ({error}). Set another --out.") from error
