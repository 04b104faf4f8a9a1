"""Detectors on benign and attacked images of a network (Xiao et al., ECCV 2018).

Every score is kept in a file whose name is a hash of all that it depends on, and adversarial images are kept too, so
that an interrupted command continues, and further detectors do not attack again.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uap.attacks import Attack
from uap.data.samples import Samples
from uap.detectors import Detector
from uap.evaluation.attack_grid import Cell, Network
from uap.evaluation.clean_images import CleanImages
from uap.evaluation.evaluate import Scored, evaluate, in_form
from uap.evaluation.saved_perturbation import SavedPerturbation
from uap.evaluation.transferred import Transferred
from uap.metrics import roc
from uap.objectives import Objective
from uap.universal.perturbation import Perturbation
from uap.utils.batches import Batches
from uap.utils.errors import InputError
from uap.utils.eval_mode import in_eval_mode
from uap.utils.plain_settings import plain_settings
from uap.utils.progress import is_quiet, shows_bars, time_left
from uap.utils.text_tables import digest, json_text, read_json, write
from uap.victims import Victim


@dataclass(frozen=True)
class AttackedImages:
    """The images of a data set after an attack, as a network sees them.

    Attributes:
        network: the network whose images and predictions the detectors score.
        made_from: the name of the network that the attack was made on.
        attack: the name of the attack, or of the saved perturbation.
        epsilon: in grey levels; None for an attack without such a bound.
        key: a hash of everything that the images depend on.
        means: the attack or the perturbation.
        objective: what the attacker wants from the network.
    """

    network: Network
    made_from: str
    attack: str
    epsilon: float | None
    key: str
    means: Transferred | Perturbation
    objective: Objective

    @property
    def title(self) -> str:
        """The attack, and the network that it was made on if that is another one."""
        bound = "" if self.epsilon is None else f", epsilon {self.epsilon:g}"
        other = "" if self.made_from in ("", self.network.name) else f", made on {self.made_from}"
        return f"{self.attack}{bound}{other}"

    def adversarial(self, images: Tensor, form: Scored) -> Tensor:
        """Return the attacked images `(N, 3, H, W)` float32 for clean ones."""
        attacked = (
            self.means.made(images).adversarial if isinstance(self.means, Attack) else self.means(images).detach()
        )
        epsilon = self.means.epsilon if isinstance(self.means, Attack) else float(self.means.epsilon)
        return in_form(form, images, attacked.float(), epsilon)


@dataclass(frozen=True)
class Detection:
    """A detector against an attack.

    Attributes:
        images: the attacked images.
        detector: the title of the detector.
        cell: a hash of everything that the metrics depend on.
        benign: the scores of the clean images.
        attacked: the scores of the attacked images, in the same order.
        success: the metrics of the attack by key of `uap.metrics.names.METRICS`.
    """

    images: AttackedImages
    detector: str
    cell: str
    benign: Tensor
    attacked: Tensor
    success: dict[str, float]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The metrics of the detector and of the attack, by key of `uap.metrics.names.METRICS`."""
        area = roc.auc(self.benign, self.attacked)
        low, high = roc.auc_interval(self.benign, self.attacked)
        false, found = roc.threshold_rates(self.benign, self.attacked)
        own = {"auc": area, "auc_two_sided": roc.two_sided(area), "auc_low": low, "auc_high": high}
        return own | {"false_positives": false, "detected": found} | self.success


def of_cells(cells: list[Cell], seed: int, out: Path) -> list[AttackedImages]:
    """Return the attacked images of cells of `uap.evaluation.attack_grid`; they are made when they are scored.

    Args:
        cells: the cells.
        seed: seed of objectives and attacks that sample.
        out: a folder that keeps adversarial images.
    """
    made = []
    for cell in cells:
        attack, objective = cell.build(), cell.attack.objective()
        folder = out / "adversarial" / cell.made
        means = Transferred(attack, cell.source.victim, objective, seed, folder)
        name, epsilon = cell.attack.name, cell.epsilon
        made.append(AttackedImages(cell.network, cell.source.name, name, epsilon, cell.key, means, means.objective))
    return made


def of_perturbation(
    saved: SavedPerturbation, network: Network, size: tuple[int, int], images: list[Any]
) -> AttackedImages:
    """Return images with a saved perturbation.

    Args:
        saved: the perturbation.
        network: the network whose predictions are scored.
        size: height and width of the images.
        images: what the clean images depend on, as plain values for a hash.

    Raises:
        InputError: the perturbation is for images of another size, or the network has no class of its target.
    """
    if saved.size not in (None, size):
        raise InputError(
            f"The perturbation {saved.name} is for images of {saved.size[0]} x {saved.size[1]}, and the images have "
            f"{size[0]} x {size[1]}. Set --data.size to its size.",
            setting="data.size",
            kind="conflict",
        )
    objective, note = saved.target_for(network.victim, size)
    if objective is None:
        raise InputError(
            f"The perturbation {saved.name} has no target for {network.name}: {note}.", kind="not_supported"
        )
    key = digest(images, network.identity(), saved.identity())
    means = saved.perturbation.to(network.victim.mean.device)
    return AttackedImages(network, network.name, saved.name, means.epsilon, key, means, objective)


class DetectorScores:
    """Scores of detectors on the clean and attacked images of a data set, each computed once.

    Args:
        clean: the images.
        identity: what the clean images depend on, as plain values for a hash.
        form: whether attacked images are scored as `float` or `8-bit`.
        out: the folder of the files.
    """

    def __init__(self, clean: CleanImages, identity: list[Any], form: Scored, out: Path) -> None:
        """Score nothing yet."""
        self.clean = clean
        self.identity = identity
        self.form: Scored = form
        self.out = out

    def benign(self, network: Network, detector: Detector) -> Tensor:
        """Return the scores `(N,)` of the clean images."""
        key = digest(self.identity, network.identity(), plain_settings(detector))
        return self._scores(key, network.victim, detector, lambda images: images)

    def attacked(self, images: AttackedImages, detector: Detector) -> tuple[Tensor, str]:
        """Return the scores `(N,)` of attacked images, and the hash of the cell."""
        key = self.key(images, detector)
        scores = self._scores(key, images.network.victim, detector, lambda clean: images.adversarial(clean, self.form))
        return scores, key

    def key(self, images: AttackedImages, detector: Detector) -> str:
        """Return the hash of everything that the scores of attacked images depend on."""
        return digest(images.key, self.form, plain_settings(detector))

    def success(self, images: AttackedImages) -> dict[str, float]:
        """Return the metrics of an attack, by key of `uap.metrics.names.METRICS`."""
        file = self._file(digest(images.key, self.form, "success"))
        kept = _kept(file, "success")
        if kept is None:
            victim = images.network.victim
            loader = self.clean.samples(victim).loader()
            found = evaluate(victim, loader, images.means, images.objective, scored=(self.form,), progress=shows_bars())
            kept = found.metrics[self.form]
            write(file, json_text({"success": kept}))
        return dict(kept)

    def _scores(self, key: str, victim: Victim, detector: Detector, shown: Callable[[Tensor], Tensor]) -> Tensor:
        file, samples = self._file(key), self.clean.samples(victim)
        kept = _kept(file, "scores")
        if kept is None or len(kept) != len(samples):
            kept = [score for images in _batches(samples, victim) for score in detector(victim, shown(images)).tolist()]
            write(file, json_text({"scores": kept}))
        return torch.tensor(kept, dtype=torch.float64)

    def _file(self, key: str) -> Path:
        return self.out / "cells" / f"{key}.json"


def detect(rows: list[AttackedImages], detectors: dict[str, Detector], scores: DetectorScores) -> Iterator[Detection]:
    """Yield every detector against every attack; what was scored before is read, and the time left is printed.

    Clean images come first, so that a detector that does not fit the images is refused before any attack.

    Args:
        rows: the attacked images.
        detectors: the detectors by title.
        scores: computes and keeps the scores.

    Raises:
        InputError: a detector does not fit the images, or there are fewer than two images.
    """
    networks = {row.network.name: row.network for row in rows}
    benign = {
        (name, title): scores.benign(network, detector)
        for name, network in networks.items()
        for title, detector in detectors.items()
    }
    start = time.monotonic()
    for number, row in enumerate(rows, start=1):
        with in_eval_mode(row.network.victim):
            success = scores.success(row)
        for title, detector in detectors.items():
            attacked, key = scores.attacked(row, detector)
            yield Detection(row, title, key, benign[row.network.name, title], attacked, success)
        if not is_quiet():
            left = time_left((time.monotonic() - start) / number * (len(rows) - number))
            print(f"{number} of {len(rows)}: {row.network.name}, {row.title}, {left}", flush=True)


def _batches(samples: Samples, victim: Victim) -> Iterator[Tensor]:
    for batch in Batches(samples.loader(), device=victim.mean.device):
        yield batch.images


def _kept(file: Path, key: str) -> Any:
    """Return what a file of a cell holds; None if it is missing or damaged."""
    try:
        return read_json(file, key)[key]
    except InputError:
        return None
