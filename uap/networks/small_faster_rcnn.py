"""A small Faster R-CNN, made of the parts of torchvision."""

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

STRIDE = 8
"""Pixels of the image between two locations of the features."""

ANCHOR_SIDES = (12, 24, 48, 96)
"""Square roots of the areas of the anchors, in pixels."""

ANCHOR_RATIOS = (0.5, 1.0, 2.5)
"""Heights of the anchors over their widths."""


class SmallFasterRCNN(FasterRCNN):  # type: ignore[misc]  # torchvision has no types
    """Faster R-CNN (Ren et al., NeurIPS 2015, arXiv 1506.01497) with a backbone of six convolutions.

    It has 0.3 M parameters and finds objects of 10 to 150 pixels in images of 512 x 256. Images are 0 to 1, and are not
    resized. In eval mode it returns detections, in train mode losses, as every detection network of torchvision.

    Args:
        classes: number of classes, the background included.
        channels: channels of the features.
        hidden: width of the two fully connected layers that classify a box.

    Example:
        >>> import torch
        >>> network = SmallFasterRCNN(classes=6).eval()
        >>> sorted(network([torch.zeros(3, 64, 96)])[0])
        ['boxes', 'labels', 'scores']
    """

    def __init__(self, classes: int = 6, channels: int = 64, hidden: int = 64) -> None:
        """Build the network with random weights."""
        resolution = 6
        super().__init__(
            backbone(channels),
            rpn_anchor_generator=AnchorGenerator((ANCHOR_SIDES,), (ANCHOR_RATIOS,)),
            box_roi_pool=MultiScaleRoIAlign(["0"], resolution, sampling_ratio=1),
            box_head=TwoMLPHead(channels * resolution**2, hidden),
            box_predictor=FastRCNNPredictor(hidden, classes),
            rpn_pre_nms_top_n_train=600,  # training on one CPU core: most of its time goes into boxes
            rpn_post_nms_top_n_train=300,
            box_batch_size_per_image=96,
        )
        self.transform = _OwnSize(1, 1, [128 / 255] * 3, [64 / 255] * 3, size_divisible=STRIDE)


class _OwnSize(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Normalizes images and leaves their size as it is; torchvision can do so in train mode alone."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Return both unchanged."""
        return image, target


def backbone(channels: int) -> nn.Sequential:
    """Return six convolutions with a stride of 8 pixels and a field of view of 119 pixels."""
    quarter, half = channels // 4, channels // 2
    layers = nn.Sequential(
        *_layer(3, quarter, stride=2),
        *_layer(quarter, half, stride=2),
        *_layer(half, half),
        *_layer(half, channels, stride=2),
        *_layer(channels, channels, dilation=2),
        *_layer(channels, channels, dilation=4),
    )
    layers.out_channels = channels  # type: ignore[assignment]  # torchvision reads it
    return layers


def _layer(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
