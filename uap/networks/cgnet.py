"""CGNet, a small segmentation network (Wu et al., arXiv 1811.08201)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.espnet import BATCH_NORM_EPSILON, Conv, ConvNormAct, NormAct
from uap.utils.errors import InputError


class ChannelWise(nn.Module):
    """A depthwise 3 x 3 convolution; its parameter has the published name `conv.weight`."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        """Build for `channels` channels."""
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        return cast(Tensor, self.conv(x))


class GlobalContext(nn.Module):
    """Global context extractor: scales the channels by weights computed from their means over the image (sec. 3.1)."""

    def __init__(self, channels: int, reduction: int) -> None:
        """Build with a bottleneck of `channels / reduction`."""
        super().__init__()
        narrow = channels // reduction
        self.fc = nn.Sequential(nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape `(N, C, H, W)`."""
        return x * cast(Tensor, self.fc(x.mean((2, 3))))[..., None, None]


class Downsampler(nn.Module):
    """A context guided block that halves the size, without a residual connection."""

    def __init__(self, inputs: int, outputs: int, dilation: int, reduction: int) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        self.conv1x1 = ConvNormAct(inputs, outputs, 3, stride=2)  # the published name, although its kernel is 3 x 3
        self.F_loc = ChannelWise(outputs)
        self.F_sur = ChannelWise(outputs, dilation)
        self.bn = nn.BatchNorm2d(2 * outputs, eps=BATCH_NORM_EPSILON)
        self.act = nn.PReLU(2 * outputs)
        self.reduce = Conv(2 * outputs, outputs, 1)
        self.F_glo = GlobalContext(outputs, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the input's size, rounded up."""
        x = self.conv1x1(x)
        joint = self.act(self.bn(torch.cat([self.F_loc(x), self.F_sur(x)], dim=1)))
        return cast(Tensor, self.F_glo(self.reduce(joint)))


class ContextGuidedBlock(nn.Module):
    """Context guided block: local and surrounding features, concatenated and scaled by the global context (sec. 3.1).

    The input is added after the scaling, which the paper calls global residual learning.
    """

    def __init__(self, channels: int, dilation: int, reduction: int) -> None:
        """Build for `channels` channels."""
        super().__init__()
        self.conv1x1 = ConvNormAct(channels, channels // 2, 1)
        self.F_loc = ChannelWise(channels // 2)
        self.F_sur = ChannelWise(channels // 2, dilation)
        self.bn_prelu = NormAct(channels)
        self.F_glo = GlobalContext(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        narrow = self.conv1x1(x)
        joint = self.bn_prelu(torch.cat([self.F_loc(narrow), self.F_sur(narrow)], dim=1))
        return x + cast(Tensor, self.F_glo(joint))


class CGNet(nn.Module):
    """CGNet (sec. 3.2): maps images `(N, 3, H, W)` of any size to logits of that size, upsampled from 1/8.

    The published state dictionaries of the authors (github.com/wutianyiRosun/CGNet) can be loaded. Their names begin
    with `level1_0` or `module.level1_0`, at the top level or under the key `model`.

    Example:
        >>> import torch
        >>> CGNet(classes=11).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    def __init__(self, classes: int = 19, m: int = 3, n: int = 21) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            m: number of blocks at 1/4 of the image size.
            n: number of blocks at 1/8 of the image size.

        Raises:
            InputError: `m` or `n` is below 1.
        """
        super().__init__()
        if min(m, n) < 1:
            raise InputError(f"CGNet got m={m} and n={n}, expected 1 or more of each.", kind="out_of_range")
        self.level1_0 = ConvNormAct(3, 32, 3, stride=2)
        self.level1_1 = ConvNormAct(32, 32, 3)
        self.level1_2 = ConvNormAct(32, 32, 3)
        self.b1 = NormAct(32 + 3)
        self.level2_0 = Downsampler(32 + 3, 64, dilation=2, reduction=8)
        self.level2 = nn.ModuleList(ContextGuidedBlock(64, dilation=2, reduction=8) for _ in range(m - 1))
        self.bn_prelu_2 = NormAct(128 + 3)
        self.level3_0 = Downsampler(128 + 3, 128, dilation=4, reduction=16)
        self.level3 = nn.ModuleList(ContextGuidedBlock(128, dilation=4, reduction=16) for _ in range(n - 1))
        self.bn_prelu_3 = NormAct(256)
        self.classifier = nn.Sequential(Conv(256, classes, 1))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        half = self.halve(image)
        quarter = self.halve(half)
        level1 = self.level1_2(self.level1_1(self.level1_0(image)))
        first2 = deep2 = self.level2_0(self.b1(torch.cat([level1, half], dim=1)))
        for block in self.level2:
            deep2 = block(deep2)
        first3 = deep3 = self.level3_0(self.bn_prelu_2(torch.cat([deep2, first2, quarter], dim=1)))
        for block in self.level3:
            deep3 = block(deep3)
        scores = self.classifier(self.bn_prelu_3(torch.cat([first3, deep3], dim=1)))
        return F.interpolate(scores, image.shape[-2:], mode="bilinear", align_corners=False)
