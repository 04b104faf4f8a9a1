"""What a run folder says, read into plain values; what a run does not have is empty."""

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from uap.configuration.plain_yaml import plain_yaml
from uap.metrics import names
from uap.reporting.numbers import is_number
from uap.utils.errors import InputError
from uap.utils.run_folder import unique_names

Points = list[tuple[float, float]]
Row = dict[str, Any]

RATES = {name: metric.title for name, metric in names.RATES.items()}
"""The metrics of an attack as the files and as the page call them."""


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: the folder's, with as many parents as tell several runs apart.
        folder: where it lies.
        figures: metrics.json.
        config: config.yaml, and as text in `config_text`.
        curves: (step, value) of each column of metrics.csv.
        images: the rows of per_image.csv; numbers where they are numbers, None where a cell is empty.
        legend: the color (0 to 255) of each class in the pictures.
        examples: the pictures of each example by name of the example and of the picture.
    """

    name: str
    folder: Path
    figures: dict[str, Any]
    config: dict[str, Any]
    config_text: str
    curves: dict[str, Points]
    images: list[Row]
    legend: dict[str, list[int]]
    examples: dict[str, dict[str, Path]]

    @property
    def rates(self) -> list[str]:
        """The metrics that the run has: those of a static or of a dynamic target."""
        known = {key.split("/")[-1] for key in [*self.figures, *self.curves]}
        return [rate for rate in RATES if rate in known]

    def part(self, key: str, kind: type, of: type = dict) -> Any:
        """Return a list or dictionary of metrics.json, empty where there is none; `of` is what is in it.

        Raises:
            InputError: it is something else.
        """
        value = self.figures.get(key)
        value = kind() if value is None else value
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        kinds = [(value, kind), *((one, of) for one in inside)]
        if wrong := [one for one, expected in kinds if not isinstance(one, expected)]:
            raise InputError(
                f"{self.folder / 'metrics.json'} has {key!r} of type {type(wrong[0]).__name__}, expected "
                f"{kind.__name__}, each of {of.__name__}. Run again what wrote it."
            )
        return value

    def setting(self, path: str) -> Any:
        """Return a value of the configuration by its dotted name, None where there is none."""
        value: Any = self.config
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value


def read_runs(folders: list[Path]) -> list[Run]:
    """Read several runs; where many are given, a folder that holds none is left out, with a warning.

    Raises:
        InputError: there is no run, one is given twice, or has a file that cannot be read.
    """
    reasons = {folder: _no_run(folder) for folder in folders}
    found = [folder for folder in folders if not reasons[folder]]
    for folder, reason in reasons.items():
        if reason and not found:
            raise InputError(f"{folder} {reason}, so it is no run. Give the folder of a run of python -m uap.fit.")
        if reason:
            print(f"warning: {folder} {reason}, so it is no run, and is left out.", file=sys.stderr)
    return [_read(folder, name) for folder, name in zip(found, unique_names(found), strict=True)]


def _no_run(folder: Path) -> str:
    """Return why a folder holds no run; nothing where it does."""
    if any((folder / file).is_file() for file in ("config.yaml", "metrics.json", "metrics.csv")):
        return ""
    return "has none of config.yaml, metrics.json and metrics.csv" if folder.is_dir() else "is no folder"


def _read(folder: Path, name: str) -> Run:
    files = {file: folder / file for file in ("config.yaml", "metrics.json", "metrics.csv", "per_image.csv")}
    pictures = folder / "pictures"
    return Run(
        name=name,
        folder=folder,
        figures=_parsed(files["metrics.json"], json.loads),
        config=_parsed(files["config.yaml"], plain_yaml),
        config_text=_text(files["config.yaml"]),
        curves=_curves(_rows(files["metrics.csv"])),
        images=_images(files["per_image.csv"]),
        legend=_legend(pictures / "legend.json"),
        examples=_examples(pictures / "panels"),
    )


def _text(path: Path) -> str:
    """Return a file's text, empty where there is nothing."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file. Move it away.")
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}). Restore it or remove it.") from error


def _parsed(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    text = _text(path)
    try:
        value = parse(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({reason}). Run again what wrote it, or remove it.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}, expected names with values. Restore it or remove it.")
    return value


def _legend(path: Path) -> dict[str, list[int]]:
    """Return the colors of the classes."""
    legend = _parsed(path, json.loads)
    for name, rgb in legend.items():
        if not (isinstance(rgb, list) and len(rgb) == 3 and all(isinstance(value, str | int) for value in rgb)):
            raise InputError(f"{path} gives {name} the color {rgb}, expected red, green and blue. Run again.")
    return legend


def _images(path: Path) -> list[Row]:
    """Return the rows of the scored images; their metrics are no number below 0, and shares are none above 1."""
    rows = _rows(path)
    for row, metric in product(rows, names.RATES.values()):
        value = row.get(metric.name)
        if is_number(value) and not (0 <= value <= 1 or (value > 1 and not metric.is_share)):
            raise InputError(
                f"{path} has the {metric.name} {value:g} of {row.get('image')}, expected "
                f"{'0 to 1' if metric.is_share else '0 or more'}. Run again what wrote it."
            )
    return rows


def _rows(path: Path) -> list[Row]:
    try:
        rows = list(csv.DictReader(io.StringIO(_text(path), newline="")))
    except csv.Error as error:
        raise InputError(f"{path} cannot be read ({error}). Run again what wrote it, or remove it.") from error
    return [{key: _cell(key, cell) for key, cell in row.items() if key} for row in rows]


def _cell(column: str, text: str | None) -> float | str | None:
    """Return a number where it is one; a run that was killed may have written half a row."""
    if column == "image":
        return text  # names can look like numbers: 0016E5_07959
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _curves(rows: list[Row]) -> dict[str, Points]:
    curves: dict[str, Points] = {}
    for row in rows:
        step = row.pop("step", None)
        for name, value in row.items():
            if is_number(step) and step >= 0 and is_number(value):
                curves.setdefault(name, []).append((step, value))
    return curves


def _examples(panels: Path) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(panels.rglob("*.png")):
        found.setdefault(path.parent.relative_to(panels).as_posix(), {})[path.stem] = path
    return found
