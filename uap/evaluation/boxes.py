"""Dense adversary generation against a detection network, image by image (Xie et al., ICCV 2017, arXiv 1703.08603)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from uap.attacks import DAG
from uap.attacks.base import Attack
from uap.datasets import Cityscapes, SegmentationDataset
from uap.datasets.boxes import Boxes
from uap.metrics.detection import mean_average_precision
from uap.metrics.perceptibility import largest_change, perceptibility
from uap.objectives.box_classes import BoxClasses
from uap.objectives.sampling import goal_of
from uap.utils.class_tables import IGNORE
from uap.utils.detections import Detections
from uap.utils.errors import InputError
from uap.utils.quantize import eight_bit
from uap.victims.detection import POSITIVE_SCORE, DetectionVictim, FixedBoxes

REFERENCE_SCORE = 0.4
"""Without known boxes, the clean detections of a higher score are the objects that a detection is compared with."""


@dataclass(frozen=True)
class BoxAttack:
    """The result of an attack on the boxes of one image.

    Attributes:
        name: of the image.
        image: `(1, 3, H, W)` float32, the clean image.
        adversarial: `(1, 3, H, W)` float32.
        candidates: number of candidate boxes.
        targets: number of them that show an object.
        reached: number of those that got their adversarial class.
        kept: number of those that kept the class of their object.
        steps: of the attack.
        converged: whether it ended before its last step; None for attacks of a fixed length.
        truth: the objects of the image.
        before: detections on the clean image.
        after: detections on the adversarial image, float.
        rounded: detections on the adversarial image, clipped and rounded to 8 bits.
    """

    name: str
    image: Tensor
    adversarial: Tensor
    candidates: int
    targets: int
    reached: int
    kept: int
    steps: int
    converged: bool | None
    truth: Detections
    before: Detections
    after: Detections
    rounded: Detections


def attack_boxes(
    victim: DetectionVictim, image: Tensor, attack: Attack, seed: int = 0
) -> tuple[Tensor, FixedBoxes, Tensor]:
    """Attack the boxes of the objects that a network detects in one image.

    The objects are the network's own detections with a score above `POSITIVE_SCORE`; known boxes are not used.

    Args:
        victim: the network.
        image: `(1, 3, H, W)` float32, 0 to 255.
        attack: such as `DAG()`.
        seed: seed of the adversarial classes, which also depend on the image.

    Returns:
        The adversarial image `(1, 3, H, W)`, the network with the candidate boxes of the clean image, and the
        adversarial class of each box, int64 `(P,)`, 255 for none. Without an object the image is unchanged.
    """
    found = victim.detect(image)[0]
    strong = found.scores > POSITIVE_SCORE
    fixed = victim.fixed(image, Detections(found.boxes[strong], found.classes[strong], found.scores[strong]))
    objects = fixed.objects
    if not (objects != IGNORE).any():
        return image, fixed, objects
    with torch.no_grad():
        logits = fixed(image)
        goal = goal_of(BoxClasses(), fixed, image, seed, logits=logits)
    labels = torch.where(objects == IGNORE, logits.argmax(1)[0], objects)[None]
    return attack.run(fixed, image, goal, BoxClasses(), labels), fixed, goal.labels[0]


def attack_all(victim: DetectionVictim, images: SegmentationDataset, attack: DAG, seed: int = 0) -> Iterator[BoxAttack]:
    """Yield the attack on each image; images without a detected object stay as they are.

    Raises:
        InputError: an image cannot be read.
    """
    for row, truth in enumerate(truths(victim, images)):
        image = images[row]["image"][None].float()
        adversarial, fixed, labels = attack_boxes(victim, image, attack, seed)
        objects, shown = fixed.objects, fixed.objects != IGNORE
        changed = bool(shown.any())
        with torch.no_grad():
            predicted = fixed(adversarial).argmax(1)[0]
        yield BoxAttack(
            name=images.items[row].name,
            image=image,
            adversarial=adversarial,
            candidates=len(objects),
            targets=int(shown.sum()),
            reached=int((predicted == labels)[shown].sum()),
            kept=int((predicted == objects)[shown].sum()),
            steps=int(attack.cost.steps[0]) if changed else 0,
            converged=bool(attack.cost.converged[0]) if changed and attack.cost.converged is not None else None,
            truth=truth,
            before=victim.detect(image)[0],
            after=victim.detect(adversarial)[0],
            rounded=victim.detect(eight_bit(adversarial).float())[0],
        )


def truths(victim: DetectionVictim, images: SegmentationDataset) -> Iterator[Detections]:
    """Yield the objects of each image: known boxes, or else the clean detections above `REFERENCE_SCORE`."""
    boxes = Boxes(images, victim.table) if isinstance(images, Cityscapes) else None
    for row in range(len(images)):
        if boxes is not None:
            yield Detections(*boxes.boxes_of(images.items[row]))
        else:
            found = victim.detect(images[row]["image"][None].float())[0]
            kept = found.scores > REFERENCE_SCORE
            yield Detections(found.boxes[kept], found.classes[kept])


def summary(results: Iterable[BoxAttack]) -> dict[str, float]:
    """Return the numbers of an attack over all images: counts are summed before they are divided.

    Raises:
        InputError: no object was detected in any image, or the images contain none.
    """
    found = list(results)
    attacked = [one for one in found if one.targets]
    if not attacked:
        raise InputError(
            f"The network detects no object in the {len(found)} images. Use images that show its classes.",
            setting="data",
            kind="not_supported",
        )
    truth = [one.truth for one in found]
    targets = sum(one.targets for one in attacked)
    changes = [(one.image, one.adversarial) for one in attacked]
    return {
        "map_clean": mean_average_precision([one.before for one in found], truth),
        "map_adversarial": mean_average_precision([one.after for one in found], truth),
        "map_8_bit": mean_average_precision([one.rounded for one in found], truth),
        "success_rate": sum(one.reached for one in attacked) / targets,
        "kept": sum(one.kept for one in attacked) / targets,
        "converged": sum(one.converged is True for one in attacked) / len(attacked),
        "steps": sum(one.steps for one in attacked) / len(attacked),
        "perceptibility": sum(float(perceptibility(*pair)) for pair in changes) / len(attacked),
        "max_norm": max(float(largest_change(*pair)) for pair in changes),
        "candidates": sum(one.candidates for one in found) / len(found),
        "targets": targets / len(attacked),
        "images": len(found),
        "without_objects": len(found) - len(attacked),
    }
