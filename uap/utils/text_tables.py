"""Tables and results as text: Markdown, CSV and JSON, and files that are written atomically."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError


def markdown(header: list[str], rows: list[list[str]], names: int = 1) -> str:
    """Return a Markdown table with padded columns; the first `names` columns are left-aligned, the others right."""
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


def check_cells_kept(file: Path, keys: set[str]) -> None:
    """Check that a table that is in a folder already has no cell that the new table lacks.

    Args:
        file: the JSON file of the table with its `cells`, which need not exist.
        keys: the hash of each cell of the new table, its key `cell`.

    Raises:
        InputError: cells of other settings would be lost, or the file is damaged.
    """
    found = read_json(file, "cells")["cells"] if file.exists() else []
    lost = [cell for cell in found if cell.get("cell") not in keys]
    if lost:
        texts = [value for key, value in lost[0].items() if key != "cell" and isinstance(value, str) and value]
        first = ", ".join(dict.fromkeys(texts))
        raise InputError(
            f"{file} has {len(lost)} cells of other networks or settings (the first: {first}), which "
            "would be lost from the tables. Set another --out, or name these too.",
            kind="conflict",
        )


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Return the content of a JSON file that `json_text` wrote.

    Args:
        path: the file.
        keys: keys that the content must have.

    Raises:
        InputError: the file is missing or damaged, or lacks a key.
    """
    try:
        if not path.is_file():
            raise ValueError("it is not a file")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or any(key not in content for key in keys):
            raise ValueError(f"expected names with values, {', '.join(keys)} among them")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be used ({error}). Remove its folder, and run again what wrote it.", kind="unusable_file"
        ) from error
    return content


def digest(*identity: Any) -> str:
    """Return a hash of 32 hexadecimal digits of plain values, such as the settings that results depend on."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def check_same(path: Path, identity: str) -> None:
    """Check that a file of results does not exist, or has the same digest as the results that will replace it.

    Args:
        path: the file, which contains its digest.
        identity: the digest of the new results.

    Raises:
        InputError: the file has another digest.
    """
    if path.exists() and (not path.is_file() or identity not in path.read_text(encoding="utf-8", errors="replace")):
        raise InputError(
            f"{path} already contains results of other runs or settings. Set another --out, or remove the file.",
            kind="conflict",
        )


def writable(folder: Path) -> Path:
    """Create a folder, check that it is writable, and return it; call it before a long computation.

    Raises:
        InputError: the folder is not writable.
    """
    write(folder / ".writable", "")
    (folder / ".writable").unlink()
    return folder


def write(path: Path, text: str) -> None:
    """Write a text file atomically and create its folders.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with atomic_file(path) as file:
            file.write_text(text, encoding="utf-8", errors="replace")  # file names in the text may be invalid UTF-8
    except (OSError, ValueError) as error:  # ValueError: the name contains a NUL
        raise InputError(f"{path} cannot be written ({error}). Set another --out.", kind="unusable_file") from error
