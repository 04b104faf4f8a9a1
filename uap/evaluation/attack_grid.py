"""Metrics for a grid of networks, attacks and epsilons (Arnab et al., CVPR 2018).

A cell of the grid is a network, the network that the attack is made on, an attack, an epsilon and a number of steps.
Its metrics are stored in a file whose name is a hash of everything that they depend on, so that an interrupted run can
be continued, and a larger grid reuses existing cells.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from uap.attacks import Attack, NamedAttack
from uap.data import SegmentationData
from uap.datasets.sources import stamps
from uap.evaluation.clean_images import CleanImages
from uap.evaluation.evaluate import evaluate
from uap.evaluation.noise_control import NoiseControl
from uap.evaluation.transferred import Transferred
from uap.metrics.names import METRICS
from uap.objectives import JointTargets, Objective
from uap.utils.errors import InputError
from uap.utils.plain_settings import plain_settings
from uap.utils.progress import is_quiet, shows_bars, time_left
from uap.utils.text_tables import digest, json_text, read_json, write
from uap.victims import Ensemble, Victim

ARNAB_EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""The epsilons of Arnab et al., sec. 4."""

Metrics = dict[str, dict[str, float]]
"""For `float` and `8-bit`, the values by key of `uap.metrics.names.METRICS`."""


@dataclass(frozen=True)
class Source:
    """A network, or several together, that attacks are made on, and its name in tables."""

    name: str
    victim: Victim | Ensemble

    def identity(self) -> list[Any]:
        """Return what metrics depend on, as plain values."""
        return [self.victim.cache_key(), self.victim.table.names]

    def goal(self, objective: Objective) -> Objective:
        """Return an objective for this source: one target for all of several networks.

        Raises:
            InputError: the objective has no such target.
        """
        if not isinstance(self.victim, Ensemble):
            return objective
        return JointTargets(objective)  # type: ignore[arg-type]  # which refuses others


@dataclass(frozen=True)
class Network(Source):
    """A network and its name in tables."""

    victim: Victim


@dataclass(frozen=True)
class Cell:
    """A cell of the grid.

    Attributes:
        source: the network or networks that the attack is made on.
        network: the network that is evaluated; `source` itself in a white-box attack.
        attack: the attack.
        epsilon: largest change of a pixel value, in grey levels; None for an attack without such a bound.
        made: a hash of everything that the adversarial images depend on.
        key: a hash of everything that the metrics depend on.
        steps: number of steps; None for the default of the attack.
        is_control: whether random signs of the same size take the place of the attack's change.
    """

    source: Source
    network: Network
    attack: NamedAttack
    epsilon: float | None
    made: str
    key: str
    steps: int | None = None
    is_control: bool = False

    def build(self) -> Attack:
        """Return the attack."""
        return self.attack.build(self.epsilon, self.steps)

    @property
    def made_from(self) -> str:
        """The name of the source in tables; that of a control ends with `, noise`."""
        return f"{self.source.name}, noise" if self.is_control else self.source.name

    @property
    def title(self) -> str:
        """The name of the cell in progress lines."""
        source = "" if self.made_from == self.network.name else f", made from {self.made_from}"
        bound = "" if self.epsilon is None else f", epsilon {self.epsilon:g}"
        steps = "" if self.steps is None else f", {self.steps} steps"
        return f"{self.network.name}{source}, {self.attack.name}{bound}{steps}"

    @property
    def cost(self) -> int:
        """The approximate computing time, in forward passes; a backward pass counts as two."""
        steps = 0 if self.is_control else getattr(self.build(), "steps", 1)
        return 3 * steps + 2  # float and 8-bit images


def identity_of(data: SegmentationData) -> list[Any]:
    """Return what results depend on of the scored images of data that are set up, as plain values for a hash.

    Raises:
        InputError: an image does not exist.
    """
    scored = data.datasets["scored"].images
    return [scored.reading(), list(data.size), data.table.names, stamps(scored.items, with_labels=True)]


def grid(
    pairs: Sequence[tuple[Source, Network]],
    attacks: list[NamedAttack],
    epsilons: list[float],
    data: SegmentationData,
    seed: int,
    steps: Sequence[int | None] = (None,),
    *,
    controls: bool = False,
    chosen: bool = False,
) -> list[Cell]:
    """Return the cells of the grid; an attack without an epsilon has one cell for each pair.

    Args:
        pairs: what attacks are made on, and the network that is evaluated.
        attacks: the attacks.
        epsilons: the epsilons, in grey levels.
        data: the images, set up.
        seed: seed of objectives that sample.
        steps: numbers of steps; None for the default of an attack.
        controls: whether each cell is followed by its control, noise of the same size.
        chosen: whether a user chose the epsilons; otherwise an attack with an epsilon of its own keeps that.

    Raises:
        InputError: an image does not exist, an epsilon is out of range, or the steps of an attack cannot be set.
    """
    images = identity_of(data)
    cells: list[Cell] = []
    for attack in attacks:
        for epsilon, count in product(attack.bounds(epsilons, chosen), steps):
            settings = [plain_settings(attack.build(epsilon, count)), plain_settings(attack.objective()), seed]
            for source, network in pairs:
                made = digest(images, source.identity(), settings)
                cells.append(Cell(source, network, attack, epsilon, made, digest(made, network.identity()), count))
                if controls:
                    cells.append(replace(cells[-1], key=digest(made, network.identity(), "noise"), is_control=True))
    return cells


def score(cell: Cell, transferred: Transferred, clean: CleanImages) -> tuple[Metrics, list[str]]:
    """Return the metrics of a cell, on float and on 8-bit images, and reasons to doubt them.

    Raises:
        InputError: the images have no labels of the network's classes.
    """
    victim, data = cell.network.victim, clean.data
    certainty = clean.certainty(victim)
    result = evaluate(
        victim,
        clean.samples(victim).loader(),
        NoiseControl(transferred) if cell.is_control else transferred,
        transferred.objective,
        extra=("confidence", "entropy"),
        progress=shows_bars(),
    )
    if any("iou_ratio" not in values for values in result.metrics.values()):
        raise InputError(
            f"{cell.network.name}: the {result.images} images in {data.root} have no IoU with the network's classes "
            f"({', '.join(victim.table.names)}). Set --data.root and --data.split to labeled images.",
            setting="data.root",
            kind="unusable_file",
        )
    found = {form: values | certainty for form, values in result.metrics.items()}
    metrics = {form: {name: values[name] for name in METRICS if name in values} for form, values in found.items()}
    return metrics, [f"warning: {cell.network.name}: {warning}" for warning in result.warnings]


def read_cell(file: Path) -> Metrics | None:
    """Return the metrics in the file of a cell; None if the file is missing or damaged."""
    try:
        metrics = read_json(file, "metrics")["metrics"]
        return {form: dict(metrics[form]) for form in ("float", "8-bit")}
    except (InputError, KeyError, TypeError, ValueError):
        return None


def score_all(
    cells: list[Cell], data: SegmentationData, seed: int, out: Path, *, keep_images: bool = False
) -> Iterator[tuple[Cell, Metrics]]:
    """Yield every cell with its metrics; cells without a file are scored, and the remaining time is printed.

    Adversarial images are made once for all networks that are evaluated on them.

    Args:
        cells: the cells.
        data: the images, set up.
        seed: seed of objectives that sample.
        out: the folder of the files of cells, `cells/`.
        keep_images: whether adversarial images stay in `out/adversarial/` for networks that are evaluated later.
    """
    found = {cell.key: read_cell(_file(out, cell)) for cell in cells}
    missing = [cell for cell in cells if found[cell.key] is None]
    groups: dict[str, list[Cell]] = {}
    for cell in missing:
        groups.setdefault(cell.made, []).append(cell)
    clean, printed = CleanImages(data), set[str]()
    total, done, number, start = sum(cell.cost for cell in missing), 0, 0, time.monotonic()
    for group in groups.values():
        first = group[0]
        with _folder(out, first, len(group), keep_images) as folder:
            attack, objective = first.build(), first.source.goal(first.attack.objective())
            transferred = Transferred(attack, first.source.victim, objective, seed, folder)
            for cell in group:
                metrics, warnings = score(cell, transferred, clean)
                found[cell.key] = metrics
                for warning in sorted({*warnings} - printed):
                    print(warning, flush=True)
                printed.update(warnings)
                write(_file(out, cell), json_text(names_of(cell) | {"metrics": metrics}))
                done, number = done + cell.cost, number + 1
                if not is_quiet():
                    ratio = 100 * metrics["float"]["iou_ratio"]
                    left = time_left((time.monotonic() - start) / done * (total - done))
                    print(f"{number} of {len(missing)}: {cell.title}: IoU ratio {ratio:.1f} %, {left}", flush=True)
    for cell in cells:
        yield cell, found[cell.key] or {}


def names_of(cell: Cell) -> dict[str, Any]:
    """Return the names of a cell in the files of tables."""
    return {
        "network": cell.network.name,
        "made_from": cell.made_from,
        "attack": cell.attack.name,
        "epsilon": cell.epsilon,
        "steps": cell.steps,
        "cell": cell.key,
    }


def _file(out: Path, cell: Cell) -> Path:
    return out / "cells" / f"{cell.key}.json"


@contextlib.contextmanager
def _folder(out: Path, cell: Cell, uses: int, keep_images: bool) -> Iterator[Path | None]:
    """Yield the folder of the adversarial images of a cell; None if they are used once."""
    if keep_images:
        yield out / "adversarial" / cell.made
    elif uses == 1:
        yield None
    else:
        with tempfile.TemporaryDirectory(dir=out) as folder:
            yield Path(folder)
