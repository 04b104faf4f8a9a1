"""PSPNet on a dilated ResNet (Zhao et al., CVPR 2017, arXiv 1612.01105): pyramid pooling."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.resnet import IMAGENET_WIDTH, initialize_convolutions, residual_stages
from uap.utils.errors import InputError

BINS = (1, 2, 3, 6)
"""Cells along each side in the four levels of the pyramid pooling."""

DEPTHS = (50, 101, 152)
"""Depths of the published networks, all of bottlenecks."""


class PSPNet(nn.Module):
    """PSPNet: maps images `(N, 3, H, W)` of any size to logits of that size, upsampled from 1/8.

    A ResNet begins with three 3 x 3 convolutions, and dilations of 2 and 4 replace the strides of its last two stages.
    Means over four grids join its features (sec. 3.2). Resizing aligns the corners. The state dictionaries of
    github.com/hszhao/semseg (`layer0.0` to `cls.4`) can be loaded.

    Example:
        >>> PSPNet(classes=3, depth=50, width=4).eval()(torch.zeros(2, 3, 33, 65)).shape
        torch.Size([2, 3, 33, 65])
    """

    unused_weights = ("aux.",)
    """The scores of the third stage, which only the training needs."""

    def __init__(self, classes: int = 19, depth: int = 101, width: int = IMAGENET_WIDTH) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            depth: depth of the ResNet: 50, 101 or 152.
            width: channels of the first convolution; all others are multiples of it.

        Raises:
            InputError: another depth, or a width below 1.
        """
        from torchvision.models.resnet import Bottleneck  # the import of torchvision takes a second

        super().__init__()
        if depth not in DEPTHS or width < 1:
            raise InputError(
                f"PSPNet got depth={depth} and width={width}, expected a depth of {', '.join(map(str, DEPTHS))} and a "
                "width of 1 or more.",
                kind="out_of_range",
            )
        self.layer0 = nn.Sequential(
            *_convolution(3, width, 3, stride=2),
            *_convolution(width, width, 3),
            *_convolution(width, 2 * width, 3),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.layer1, self.layer2, self.layer3, self.layer4 = residual_stages(
            Bottleneck, 2 * width, width, depth, dilated=True
        )
        features = 32 * width
        levels = (
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), *_convolution(features, features // len(BINS), 1))
            for bins in BINS
        )
        self.ppm = nn.ModuleDict({"features": nn.ModuleList(levels)})
        self.cls = nn.Sequential(
            *_convolution(2 * features, 8 * width, 3), nn.Dropout2d(0.1), nn.Conv2d(8 * width, classes, 1)
        )
        initialize_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        x = image
        for layer in (self.layer0, self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        pooled = [_resize(level(x), x.shape[-2:]) for level in cast(nn.ModuleList, self.ppm["features"])]
        return _resize(self.cls(torch.cat([x, *pooled], dim=1)), image.shape[-2:])


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return a convolution without bias, its BatchNorm and a ReLU."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return layer, nn.BatchNorm2d(outputs), nn.ReLU()


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
