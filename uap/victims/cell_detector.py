"""FastestDet as a victim: each cell of the image is a location."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.fastestdet import decode
from uap.utils.detections import Detections
from uap.utils.numbers import check_number
from uap.victims.detection import DetectionVictim


class CellDetector(DetectionVictim):
    """FastestDet, whose cells are the locations: each cell has a class, an objectness and a box.

    The class logits have no background. A cell is detected by objectness^0.6 times class probability^0.4. An attack
    changes the classes of cells, and the objectness only by chance.

    Args:
        network: `uap.networks.FastestDet`, or a network that returns the same three tensors.
        weights: a weight file; None keeps the weights of `network`.
        classes: the classes.
        input_size: height and width to which images are stretched.
        score: the smallest score of a detection.
        nms: a detection that overlaps a better one of its class by a larger IoU is left out.

    Raises:
        InputError: a threshold is out of range, or the weights do not fit.

    Example:
        >>> from uap.networks.fastestdet import FastestDet
        >>> victim = CellDetector(FastestDet(2), classes=["person", "car"], input_size=(64, 64))
        >>> image = torch.full((1, 3, 64, 96), 128.0)
        >>> victim.fixed(image)(image).shape
        torch.Size([1, 2, 16])
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | None = None,
        classes: list[str] | None = None,
        input_size: tuple[int, int] = (352, 352),
        score: float = 0.05,
        nms: float = 0.45,
    ) -> None:
        """Set the thresholds."""
        check_number("CellDetector", "score", score, 0, below=1)
        check_number("CellDetector", "nms", nms, high=1, above=0)
        super().__init__(network, weights, classes or ["object"])
        self.input_size = input_size
        self.score = score
        self.nms = nms

    def boxes(self, image: Tensor) -> Tensor:
        """Return the boxes of the cells."""
        with torch.no_grad():
            _, raw, _ = self._run(image)
            return self._decoded(raw, image)[0]

    def classify(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return class logits `(N, C, P)` of the cells; the boxes are those of the cells, and change nothing."""
        return self._run(images)[2].flatten(2)

    def scores(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return the scores of the cells."""
        objects, _, classes = self._run(images)
        return objects.sigmoid().flatten(2) ** 0.6 * classes.flatten(2).softmax(1) ** 0.4

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[Detections]:
        """Return the cells whose score is above the threshold, after non-maximum suppression within each class."""
        from torchvision.ops import batched_nms  # takes a second to import

        objects, raw, classes = self._run(images)
        probability, names = classes.flatten(2).softmax(1).max(1)
        scores = objects.sigmoid().flatten(1) ** 0.6 * probability**0.4
        detections = []
        for boxes, score, name in zip(self._decoded(raw, images), scores, names, strict=True):
            kept = (score > self.score).nonzero()[:, 0]
            kept = kept[batched_nms(boxes[kept], score[kept], name[kept], self.nms)]
            detections.append(Detections(boxes[kept], name[kept], score[kept]))
        return detections

    def _run(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        resized = F.interpolate(images.float(), self.input_size, mode="bilinear", align_corners=False, antialias=True)
        found: tuple[Tensor, Tensor, Tensor] = self.network(resized.flip(1) / 255)
        return found

    @staticmethod
    def _decoded(raw: Tensor, images: Tensor) -> Tensor:
        return decode(raw) * torch.tensor([images.shape[-1], images.shape[-2]] * 2, device=images.device)
