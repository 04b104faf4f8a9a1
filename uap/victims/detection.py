"""Detection networks under attack: boxes of an image are the locations of a prediction."""

import abc
import hashlib
import json
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from uap.metrics.detection import box_iou
from uap.utils import paths
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.detections import Detections
from uap.utils.errors import in_setting
from uap.utils.numbers import check_number
from uap.utils.plain_settings import plain_settings
from uap.victims.class_table import table_of
from uap.victims.cpu_kernels import freeze_layers
from uap.victims.fingerprints import code_of, structure_of
from uap.victims.weights import load_weights

POSITIVE_IOU, POSITIVE_SCORE = 0.1, 0.1
"""A box shows a detected object if it overlaps it by more than the first, and has its class with more than the second
(the code of Xie et al., github.com/cihangxie/DAG)."""


class DetectionVictim(nn.Module, abc.ABC):
    """A frozen detection network in eval mode, with its preprocessing and its classes.

    Its images are `(N, 3, H, W)` float32, RGB in grey levels 0 to 255, and its boxes are left, top, right and bottom
    edge in pixels of these images.

    Args:
        network: the network.
        weights: a `.safetensors` or `.pth` file; None keeps the weights of `network`.
        classes: the names of the channels of the class logits; `background` for boxes without an object.

    Raises:
        InputError: the weights cannot be read or do not fit the network.
    """

    has_proposals: ClassVar[bool] = False
    """Whether its candidate boxes are proposals, whose density `proposal_nms` sets."""

    def __init__(self, network: nn.Module, weights: str | None, classes: list[str]) -> None:
        """Load the weights and freeze the network."""
        super().__init__()
        if weights is not None:
            with in_setting("model.victim.weights"):
                load_weights(network, paths.find(weights))
        self.network = network
        self.structure = structure_of(network)
        self.table: LabelTable = table_of(classes)
        self.background = self.table.names.index("background") if "background" in self.table.names else None
        self.requires_grad_(False)
        self.train(False)
        freeze_layers(self)

    def train(self, mode: bool = True) -> Any:
        """Stay in eval mode for any `mode`, so that the statistics of BatchNorm do not change."""
        return super().train(False)

    def cache_key(self) -> str:
        """Return a hash of weights, structure, settings and code: 16 hexadecimal digits; see `Victim.cache_key`."""
        content = json.dumps([plain_settings(self), code_of(self.network)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @abc.abstractmethod
    def boxes(self, image: Tensor) -> Tensor:
        """Return the candidate boxes `(P, 4)` of one image `(1, 3, H, W)`, without a gradient."""

    @abc.abstractmethod
    def classify(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return class logits `(N, C, P)` of images for the same boxes `(P, 4)`."""

    @abc.abstractmethod
    def scores(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return the scores `(N, C, P)`, 0 to 1, by which boxes `(P, 4)` would be detected."""

    @abc.abstractmethod
    def detect(self, images: Tensor) -> list[Detections]:
        """Return what the network detects in each image: after thresholds and non-maximum suppression."""

    def fixed(self, image: Tensor, objects: Detections | None = None) -> "FixedBoxes":
        """Return the network with the candidate boxes of one image `(1, 3, H, W)`.

        Args:
            image: the clean image.
            objects: the objects that an attack has to change; None for the detections on the image.
        """
        with torch.no_grad():
            boxes = self.boxes(image)
            known = self.detect(image)[0] if objects is None else objects
            return FixedBoxes(self, boxes, _objects(self.scores(image, boxes)[0], boxes, known))


class FixedBoxes(nn.Module):
    """A detection network on the boxes of one clean image: images `(N, 3, H, W)` to class logits `(N, C, P)`.

    Xie et al. (ICCV 2017, arXiv 1703.08603, sec. 3.2) attack the boxes of the clean image, as the network would propose
    others for the adversarial one.

    Attributes:
        boxes: `(P, 4)`.
        objects: `(P,)` int64, the class of the object that a box shows, 255 for none.
        table: the classes.
        background: the class of boxes without an object; None if there is no such class.
    """

    def __init__(self, victim: DetectionVictim, boxes: Tensor, objects: Tensor) -> None:
        """Keep the boxes."""
        super().__init__()
        self.victim = victim
        self.boxes, self.objects = boxes, objects
        self.table, self.background = victim.table, victim.background

    def forward(self, images: Tensor) -> Tensor:
        """Return class logits `(N, C, P)`."""
        return self.victim.classify(images, self.boxes)


def _objects(scores: Tensor, boxes: Tensor, known: Detections) -> Tensor:
    """Return the class of the object that each box shows, int64 `(P,)`, 255 for none; `scores` are `(C, P)`."""
    if not len(known) or not len(boxes):
        return torch.full((len(boxes),), IGNORE, device=boxes.device)
    overlap = box_iou(boxes, known.boxes)
    fits = (overlap > POSITIVE_IOU) & (scores[known.classes].T > POSITIVE_SCORE)
    best, nearest = (overlap * fits).max(1)
    return torch.where(best > 0, known.classes[nearest], IGNORE)


class FasterRCNN(DetectionVictim):
    """A Faster R-CNN of torchvision, whose dense proposals are the locations.

    An attack changes the class scores of the proposals. Xie et al. raise the threshold of the non-maximum suppression
    of proposals and their number, so that many boxes cover an object.

    Args:
        network: any `FasterRCNN` of `torchvision.models.detection`, such as `uap.networks.SmallFasterRCNN`.
        weights: a weight file; None keeps the weights of `network`.
        classes: the classes, background first.
        proposals: the largest number of boxes under attack.
        proposal_nms: boxes that overlap a better one by a larger IoU are no proposals.

    Raises:
        InputError: the number or the threshold is out of range, or the weights do not fit.

    Example:
        >>> from uap.networks.small_faster_rcnn import SmallFasterRCNN
        >>> victim = FasterRCNN(SmallFasterRCNN(3), classes=["background", "person", "car"], proposals=50)
        >>> image = torch.full((1, 3, 64, 96), 128.0)
        >>> victim.fixed(image)(image).shape
        torch.Size([1, 3, 50])
    """

    has_proposals = True

    def __init__(
        self,
        network: nn.Module,
        weights: str | None = None,
        classes: list[str] | None = None,
        proposals: int = 3000,
        proposal_nms: float = 0.9,
    ) -> None:
        """Set the density of the proposals."""
        check_number("FasterRCNN", "proposals", proposals, 1, whole=True)
        check_number("FasterRCNN", "proposal_nms", proposal_nms, high=1, above=0)
        super().__init__(network, weights, classes or ["background", "object"])
        self.proposals = proposals
        self.proposal_nms = proposal_nms

    def boxes(self, image: Tensor) -> Tensor:
        """Return the dense proposals; they are made at the size to which the network resizes the image."""
        resized, features = self._features(image)
        rpn: Any = self.network.rpn
        given = rpn.nms_thresh, rpn.score_thresh, rpn._pre_nms_top_n, rpn._post_nms_top_n
        try:
            rpn.nms_thresh, rpn.score_thresh = self.proposal_nms, 0.0
            rpn._pre_nms_top_n = {"training": 1, "testing": 2 * self.proposals}
            rpn._post_nms_top_n = {"training": 1, "testing": self.proposals}
            with torch.no_grad():
                found, _ = rpn(resized, features)
        finally:
            rpn.nms_thresh, rpn.score_thresh, rpn._pre_nms_top_n, rpn._post_nms_top_n = given
        boxes: Tensor = found[0]
        return boxes / self._scale(image, resized)

    def classify(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return class logits `(N, C, P)`; the gradient flows to the images, not to the boxes."""
        resized, features = self._features(images)
        heads: Any = self.network.roi_heads
        scaled = boxes * self._scale(images, resized)
        pooled = heads.box_roi_pool(features, [scaled] * len(images), resized.image_sizes)
        logits, _ = heads.box_predictor(heads.box_head(pooled))
        found: Tensor = logits.view(len(images), len(boxes), -1).transpose(1, 2)
        return found

    def scores(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return the softmax of the class logits."""
        return self.classify(images, boxes).softmax(1)

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[Detections]:
        """Return the detections of the network with its own thresholds and its own proposals."""
        found = self.network([image / 255 for image in images.float()])
        return [Detections(one["boxes"], one["labels"], one["scores"]) for one in found]

    def _features(self, images: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """Return the resized images (`ImageList` of torchvision) and the features by level."""
        network: Any = self.network
        resized, _ = network.transform([image / 255 for image in images.float()])
        features = network.backbone(resized.tensors)
        return resized, {"0": features} if isinstance(features, Tensor) else features

    @staticmethod
    def _scale(images: Tensor, resized: Any) -> Tensor:
        height, width = resized.image_sizes[0]
        return torch.tensor([width / images.shape[-1], height / images.shape[-2]] * 2, device=images.device)
