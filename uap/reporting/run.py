"""Reader of run folders. Contents that a run does not have are empty."""

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

Series = list[tuple[float, float]]
Row = dict[str, Any]

RATES = {name: metric.title for name, metric in names.RATES.items()}
"""The metrics of an attack: their names in files, and their titles on the page."""


@dataclass(frozen=True)
class Run:
    """The contents of a run folder.

    Attributes:
        name: the folder's name, with as many parents as distinguish it from the other runs.
        folder: the path of the folder.
        metrics: the contents of metrics.json.
        config: the contents of config.yaml.
        config_text: the text of config.yaml.
        curves: (step, value) of each column of metrics.csv.
        images: the rows of per_image.csv. Cells are numbers or text, and None where a cell is empty.
        legend: the color of each class in the pictures: red, green and blue, 0 to 255.
        examples: the paths of pictures, by the name of the example and the name of the picture.
    """

    name: str
    folder: Path
    metrics: dict[str, Any]
    config: dict[str, Any]
    config_text: str
    curves: dict[str, Series]
    images: list[Row]
    legend: dict[str, list[int]]
    examples: dict[str, dict[str, Path]]

    @property
    def rates(self) -> list[str]:
        """The names of the attack's metrics that the run has; they depend on the objective."""
        known = {key.split("/")[-1] for key in [*self.metrics, *self.curves]}
        return [rate for rate in RATES if rate in known]

    def entry(self, key: str, kind: type, of: type = dict) -> Any:
        """Return a list or dictionary of metrics.json; it is empty if the key is missing.

        Args:
            key: the key in metrics.json.
            kind: the expected type, list or dict.
            of: the expected type of its elements.

        Raises:
            InputError: the value or one of its elements has another type.
        """
        value = self.metrics.get(key)
        value = kind() if value is None else value
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        kinds = [(value, kind), *((one, of) for one in inside)]
        if wrong := [one for one, expected in kinds if not isinstance(one, expected)]:
            raise InputError(
                f"{self.folder / 'metrics.json'} has {key!r} of type {type(wrong[0]).__name__}, expected "
                f"{kind.__name__}, each of {of.__name__}. Run the command that wrote it again.",
                kind="unusable_file",
            )
        return value

    def setting(self, path: str) -> Any:
        """Return a value of the configuration by its dotted name; None if it is not set."""
        value: Any = self.config
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value


def read_runs(folders: list[Path]) -> list[Run]:
    """Read runs. A folder that is not a run is left out with a warning, as long as another one is a run.

    Raises:
        InputError: no folder is a run, a folder is given twice, or a file cannot be read.
    """
    reasons = {folder: _no_run(folder) for folder in folders}
    found = [folder for folder in folders if not reasons[folder]]
    for folder, reason in reasons.items():
        if reason and not found:
            raise InputError(
                f"{folder} {reason}, so it is no run. Give the folder of a run of python -m uap.fit.",
                kind="unusable_file",
            )
        if reason:
            print(f"warning: {folder} {reason}, so it is no run, and is left out.", file=sys.stderr)
    return [_read(folder, name) for folder, name in zip(found, unique_names(found), strict=True)]


def _no_run(folder: Path) -> str:
    """Return why a folder is not a run, or "" if it is one."""
    if any((folder / file).is_file() for file in ("config.yaml", "metrics.json", "metrics.csv")):
        return ""
    return "has none of config.yaml, metrics.json and metrics.csv" if folder.is_dir() else "is no folder"


def _read(folder: Path, name: str) -> Run:
    files = {file: folder / file for file in ("config.yaml", "metrics.json", "metrics.csv", "per_image.csv")}
    pictures = folder / "pictures"
    return Run(
        name=name,
        folder=folder,
        metrics=_parsed(files["metrics.json"], json.loads),
        config=_parsed(files["config.yaml"], plain_yaml),
        config_text=_text(files["config.yaml"]),
        curves=_curves(_rows(files["metrics.csv"])),
        images=_images(files["per_image.csv"]),
        legend=_legend(pictures / "legend.json"),
        examples=_examples(pictures / "panels"),
    )


def _text(path: Path) -> str:
    """Return the text of a file; "" if it does not exist."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a file. Move it away.", kind="unusable_file")
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}). Restore it or remove it.", kind="unusable_file") from error


def _parsed(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    text = _text(path)
    try:
        value = parse(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read ({reason}). Run the command that wrote it again, or remove the file.",
            kind="unusable_file",
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"{path} holds a {type(value).__name__}, expected names with values. Restore it or remove it.",
            kind="unusable_file",
        )
    return value


def _legend(path: Path) -> dict[str, list[int]]:
    """Return the colors of the classes by name."""
    legend = _parsed(path, json.loads)
    for name, rgb in legend.items():
        if not (isinstance(rgb, list) and len(rgb) == 3 and all(isinstance(value, str | int) for value in rgb)):
            raise InputError(
                f"{path} gives {name} the color {rgb}, expected red, green and blue. Run again.", kind="unusable_file"
            )
    return legend


def _images(path: Path) -> list[Row]:
    """Return the rows of the scored images, after a check that metrics are at least 0, and shares at most 1."""
    rows = _rows(path)
    for row, metric in product(rows, names.RATES.values()):
        value = row.get(metric.name)
        if is_number(value) and not (0 <= value <= 1 or (value > 1 and not metric.is_share)):
            raise InputError(
                f"{path} has the {metric.name} {value:g} of {row.get('image')}, expected "
                f"{'0 to 1' if metric.is_share else '0 or more'}. Run the command that wrote it again.",
                kind="unusable_file",
            )
    return rows


def _rows(path: Path) -> list[Row]:
    try:
        rows = list(csv.DictReader(io.StringIO(_text(path), newline="")))
    except csv.Error as error:
        raise InputError(
            f"{path} cannot be read ({error}). Run the command that wrote it again, or remove the file.",
            kind="unusable_file",
        ) from error
    return [{key: _cell(key, cell) for key, cell in row.items() if key} for row in rows]


def _cell(column: str, text: str | None) -> float | str | None:
    """Return a number, or the text if it is not one: a run that was killed may have written half a row."""
    if column == "image":
        return text  # names can look like numbers: 0016E5_07959
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _curves(rows: list[Row]) -> dict[str, Series]:
    curves: dict[str, Series] = {}
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
