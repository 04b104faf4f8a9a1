"""Robustness curves: metrics for a grid of networks, attacks and epsilons (Arnab et al., CVPR 2018).

A cell of the grid is one network, attack and epsilon. Its metrics are stored in a file whose name is a hash of
everything that they depend on, so that an interrupted run can be continued, and a larger grid reuses existing cells.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uap.attacks import NamedAttack
from uap.data import SegmentationData
from uap.datasets.sources import stamps
from uap.evaluation.evaluate import evaluate
from uap.utils.errors import InputError
from uap.utils.progress import is_quiet, shows_bars, time_left
from uap.utils.text_tables import digest, json_text, read_json, write
from uap.victims import Victim

ARNAB_EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""The epsilons of Arnab et al., sec. 4."""

Metrics = dict[str, dict[str, float]]
"""For `float` and `8-bit`, the values by key of `uap.metrics.names.METRICS`."""


@dataclass(frozen=True)
class Cell:
    """A cell of the grid: one network, attack and epsilon.

    Attributes:
        network: name of the network.
        victim: the network.
        attack: the attack.
        epsilon: largest change of a pixel value, in grey levels; None for an attack without such a bound.
        file: the file of the metrics.
    """

    network: str
    victim: Victim
    attack: NamedAttack
    epsilon: float | None
    file: Path

    @property
    def title(self) -> str:
        """The name of the cell in progress lines."""
        bound = "" if self.epsilon is None else f", epsilon {self.epsilon:g}"
        return f"{self.network}, {self.attack.name}{bound}"

    @property
    def cost(self) -> int:
        """The approximate computing time, in forward passes; a backward pass counts as two."""
        return 3 * getattr(self.attack.build(self.epsilon), "steps", 1) + 3  # clean, float and 8-bit images


def grid(
    victims: dict[str, Victim],
    attacks: list[NamedAttack],
    epsilons: list[float],
    data: SegmentationData,
    seed: int,
    folder: Path,
) -> list[Cell]:
    """Return the cells of the grid; an attack without an epsilon has one cell for each network.

    Args:
        victims: the networks by name.
        attacks: the attacks.
        epsilons: the epsilons, in grey levels.
        data: the images, set up.
        seed: seed of random attacks and objectives.
        folder: the folder of the files of cells.

    Raises:
        InputError: an image does not exist, or an epsilon is out of range.
    """
    scored = data.datasets["scored"].images
    images = [scored.reading(), list(data.size), data.table.names, stamps(scored.items, with_labels=True)]
    networks = {name: [victim.cache_key(), victim.table.names] for name, victim in victims.items()}
    return [
        Cell(name, victim, attack, epsilon, folder / f"{digest(images, networks[name], seed, settings)}.json")
        for attack in attacks
        for epsilon in (epsilons if attack.has_epsilon else [None])
        for settings in [[plain_settings(attack.build(epsilon)), plain_settings(attack.objective())]]
        for name, victim in victims.items()
    ]


def plain_settings(thing: Any) -> Any:
    """Return the class of an object and its attributes as plain values, for a hash.

    Example:
        >>> from uap.attacks import DAG
        >>> plain_settings(DAG())[0]
        'uap.attacks.dag.DAG'
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, list | tuple):
        return [plain_settings(one) for one in thing]
    if not hasattr(thing, "__dict__"):
        return str(thing)
    attributes = {name: plain_settings(value) for name, value in sorted(vars(thing).items())}
    return [f"{type(thing).__module__}.{type(thing).__qualname__}", attributes]


def score(cell: Cell, data: SegmentationData, seed: int) -> Metrics:
    """Return the metrics of a cell, on float and on 8-bit images.

    Raises:
        InputError: the images have no labels of the network's classes.
    """
    result = evaluate(
        cell.victim,
        data.datasets["scored"].with_classes(cell.victim.table).loader(),
        cell.attack.build(cell.epsilon),
        cell.attack.objective(),
        seed=seed,
        progress=shows_bars(),
    )
    if any("iou_ratio" not in values for values in result.metrics.values()):
        raise InputError(
            f"{cell.network}: the {result.images} images in {data.root} have no IoU with the network's classes "
            f"({', '.join(cell.victim.table.names)}). Set --data.root and --data.split to labeled images."
        )
    return result.metrics


def read_cell(file: Path) -> Metrics | None:
    """Return the metrics in the file of a cell; None if the file is missing or damaged."""
    try:
        metrics = read_json(file, "metrics")["metrics"]
        return {form: dict(metrics[form]) for form in ("float", "8-bit")}
    except (InputError, KeyError, TypeError, ValueError):
        return None


def score_all(cells: list[Cell], data: SegmentationData, seed: int) -> Iterator[tuple[Cell, Metrics]]:
    """Yield every cell with its metrics; cells without a file are scored, and the remaining time is printed."""
    found = {cell.file: read_cell(cell.file) for cell in cells}
    missing = [cell for cell in cells if found[cell.file] is None]
    total, done, start = sum(cell.cost for cell in missing), 0, time.monotonic()
    for number, cell in enumerate(missing, start=1):
        metrics = found[cell.file] = score(cell, data, seed)
        about = {"network": cell.network, "attack": cell.attack.name, "epsilon": cell.epsilon}
        write(cell.file, json_text(about | {"metrics": metrics}))
        done += cell.cost
        if not is_quiet():
            ratio = 100 * metrics["float"]["iou_ratio"]
            left = time_left((time.monotonic() - start) / done * (total - done))
            print(f"{number} of {len(missing)}: {cell.title}: IoU ratio {ratio:.1f} %, {left}", flush=True)
    for cell in cells:
        yield cell, found[cell.file] or {}
