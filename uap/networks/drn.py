"""DRN-D-22, a dilated residual network (Yu, Koltun and Funkhouser, CVPR 2017)."""

from typing import cast

import torch
from torch import Tensor, nn

from uap.networks.pointwise import pointwise
from uap.utils.errors import InputError


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a residual connection, which is a 1 x 1 convolution if channels or size change."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        self.conv1 = _conv(inputs, outputs, 3, stride, dilation)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv(outputs, outputs, 3, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.downsample = (
            nn.Sequential(pointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the input's size."""
        features = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return cast(Tensor, self.relu(features + (x if self.downsample is None else self.downsample(x))))


class DRND22(nn.Module):
    """DRN-D-22 for segmentation: maps images `(N, 3, H, W)` of any size to logits of that size, upsampled from 1/8.

    Dilations of 2 and 4 replace the strides of a ResNet below 1/8 of the image size (sec. 2). Convolutions with
    decreasing dilation at the end remove gridding artifacts (sec. 4). Variant D is only described in the repository of
    the authors: plain convolutions replace the residual blocks in the first two and the last two levels of variant C.

    The published state dictionaries of the authors (github.com/fyu/drn, `drn_d_22_cityscapes.pth` and training
    checkpoints) can be loaded. Their names begin with `base.0.0.weight` or `module.base.0.0.weight`.

    Example:
        >>> import torch
        >>> DRND22(classes=11).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    def __init__(self, classes: int = 19, width: int = 16) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            width: channels of the first level, 16 in the published network; all others are multiples of it.

        Raises:
            InputError: the width is below 1.
        """
        super().__init__()
        if width < 1:
            raise InputError(f"DRND22 got width={width}, expected 1 or more.", setting="width", kind="out_of_range")
        last = 32 * width
        self.base = nn.Sequential(
            _plain(3, width, kernel=7),
            _plain(width, width),
            _plain(width, 2 * width, stride=2),
            _residual(2 * width, 4 * width, stride=2),
            _residual(4 * width, 8 * width, stride=2),
            _residual(8 * width, 16 * width, dilation=2),
            _residual(16 * width, last, dilation=4),
            _plain(last, last, dilation=2),
            _plain(last, last),
        )
        self.seg = nn.Conv2d(last, classes, 1)
        self.up = grouped_bilinear_upsampling(classes, 8).requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        height, width = image.shape[-2:]
        return cast(Tensor, self.up(self.seg(self.base(image))))[..., :height, :width]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)


def _plain(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs, kernel, stride, dilation), nn.BatchNorm2d(outputs), nn.ReLU())


def _residual(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(inputs, outputs, stride, dilation), ResidualBlock(outputs, outputs, 1, dilation))


def grouped_bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution of each channel by itself that is initialized as bilinear interpolation."""
    up = nn.ConvTranspose2d(
        channels, channels, 2 * factor, stride=factor, padding=factor // 2, groups=channels, bias=False
    )
    distance = (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    with torch.no_grad():
        up.weight.copy_(torch.outer(1 - distance, 1 - distance))
    return up
