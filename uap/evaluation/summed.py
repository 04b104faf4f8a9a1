"""Sums of the perturbations of several networks, on networks of several tasks (Xie et al., ICCV 2017, sec. 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from uap.attacks import DAG
from uap.datasets import SegmentationDataset
from uap.evaluation.boxes import attack_boxes, truths
from uap.metrics.detection import mean_average_precision
from uap.metrics.iou import ClassIoU
from uap.metrics.perceptibility import perceptibility
from uap.objectives import RandomClasses
from uap.utils.detections import Detections
from uap.utils.progress import progress
from uap.utils.sampling import image_generator
from uap.victims import Victim
from uap.victims.detection import DetectionVictim

AnyVictim = Victim | DetectionVictim
"""A segmentation network or a detection network."""

NONE, PERMUTED = "none", "permuted"
"""The row without an attack, and the ending of the names of controls."""


@dataclass(frozen=True)
class SumRow:
    """A row of perturbations, one for each image.

    Attributes:
        scores: the mIoU or mAP by network.
        perceptibility: the p of Xie et al., mean over the images.
    """

    scores: dict[str, float]
    perceptibility: float


def permuted(change: Tensor, generator: torch.Generator) -> Tensor:
    """Return a perturbation `(1, 3, H, W)` with its pixels at random positions, and the values of each kept.

    The control of Xie et al.: its size and its values are those of the perturbation, and its structure is lost.

    Example:
        >>> change = torch.arange(12.0).reshape(1, 3, 2, 2)
        >>> sorted(permuted(change, torch.Generator().manual_seed(0))[0, 0].flatten().tolist())
        [0.0, 1.0, 2.0, 3.0]
    """
    pixels = change.flatten(2)
    order = torch.randperm(pixels.shape[2], generator=generator).to(change.device)
    return pixels[:, :, order].view_as(change)


def change_of(victim: AnyVictim, image: Tensor, seed: int) -> Tensor:
    """Return the perturbation `(1, 3, H, W)` of DAG on one image `(1, 3, H, W)`, in the paper's form.

    Pixels move to random classes that are absent, and the boxes of objects to random other classes.
    """
    if isinstance(victim, DetectionVictim):
        return attack_boxes(victim, image, DAG(steps=150), seed)[0] - image
    return DAG()(victim, image, RandomClasses(), torch.Generator().manual_seed(seed)) - image


def rows_of(
    changes: Mapping[str, Tensor], sums: Sequence[Sequence[str]], seed: int, image: Tensor
) -> dict[str, Tensor]:
    """Return the perturbations of the rows: none, each source, and each sum with its permuted control.

    Args:
        changes: `(1, 3, H, W)` by the name of the source.
        sums: the sources of each sum.
        seed: seed of the permutation, which also depends on the image.
        image: `(1, 3, H, W)`.

    Example:
        >>> one = torch.ones(1, 3, 2, 2)
        >>> list(rows_of({"a": one, "b": one}, [["a", "b"]], 0, one))
        ['none', 'a', 'b', 'a + b', 'a + b, permuted']
    """
    rows = {NONE: torch.zeros_like(image), **changes}
    for names in sums:
        total = torch.stack([changes[name] for name in names]).sum(0)
        rows[" + ".join(names)] = total
        rows[f"{' + '.join(names)}, {PERMUTED}"] = permuted(total, image_generator(seed, image))
    return rows


def score_sums(
    sources: Mapping[str, AnyVictim],
    columns: Mapping[str, AnyVictim],
    sums: Sequence[Sequence[str]],
    images: SegmentationDataset,
    seed: int = 0,
) -> dict[str, SumRow]:
    """Return the scores of each row: the mIoU of a segmentation network, the mAP of a detection network.

    Perturbations are added as they are: they are neither averaged nor clipped.

    Args:
        sources: the networks that perturbations are made on.
        columns: the networks that they are evaluated on.
        sums: the sources of each sum.
        images: labeled images; labels of classes that a network lacks are ignored.
        seed: seed of the adversarial classes and of the permutation.

    Raises:
        InputError: an image cannot be read, or no object is known.
    """
    scores: dict[str, dict[str, _Score]] = {}
    visible: dict[str, list[float]] = {}
    truth = {name: list(truths(v, images)) for name, v in columns.items() if isinstance(v, DetectionVictim)}
    labels = {name: images.with_classes(v.table) for name, v in columns.items() if isinstance(v, Victim)}
    for index in progress(range(len(images)), "Scoring sums", "image", len(images)):
        image = images[index]["image"][None].float()
        changes = {name: change_of(victim, image, seed) for name, victim in sources.items()}
        for row, change in rows_of(changes, sums, seed, image).items():
            visible.setdefault(row, []).append(float(perceptibility(image, image + change)))
            own = scores.setdefault(row, {name: _Score(victim) for name, victim in columns.items()})
            for column, score in own.items():
                known = truth[column][index] if column in truth else labels[column][index]["labels"][None]
                score.update(image + change, known)
    return {
        row: SumRow({column: score.compute() for column, score in own.items()}, fmean(visible[row]))
        for row, own in scores.items()
    }


class _Score:
    """The mIoU or the mAP of one network over the images so far."""

    def __init__(self, victim: AnyVictim) -> None:
        self.victim = victim
        self.iou = ClassIoU(len(victim.table))
        self.found: list[Detections] = []
        self.truth: list[Detections] = []

    def update(self, image: Tensor, known: Detections | Tensor) -> None:
        if isinstance(self.victim, DetectionVictim) and isinstance(known, Detections):
            self.found += self.victim.detect(image)
            self.truth.append(known)
        elif isinstance(self.victim, Victim) and isinstance(known, Tensor):
            self.iou.update(self.victim.predict(image).long(), known)

    def compute(self) -> float:
        if isinstance(self.victim, DetectionVictim):
            return mean_average_precision(self.found, self.truth)
        return float(self.iou.compute().nanmean())
