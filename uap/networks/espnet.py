"""ESPNet, a small segmentation network (Mehta et al., ECCV 2018)."""

from typing import cast

import torch
from torch import Tensor, nn

from uap.utils.errors import InputError

BATCH_NORM_EPSILON = 1e-3
"""Epsilon of batch norm for the published weights; the default of PyTorch is 1e-5."""


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)


class NormAct(nn.Module):
    """Batch norm, then PReLU, on features `(N, C, H, W)`."""

    def __init__(self, channels: int) -> None:
        """Build for `channels` channels."""
        super().__init__()
        self.bn = _norm(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        return cast(Tensor, self.act(self.bn(x)))


class Conv(nn.Module):
    """A convolution without normalization; its parameter has the published name `conv.weight`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        self.conv = _conv(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the input's size."""
        return cast(Tensor, self.conv(x))


class ConvNormAct(NormAct):
    """Convolution, batch norm, PReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__(outputs)
        self.conv = _conv(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the input's size."""
        return super().forward(self.conv(x))


class SpatialPyramid(nn.Module):
    """The ESP unit: reduction, five dilated convolutions, and hierarchical feature fusion (sec. 3.1, figure 1b).

    With `stride` 2, a 3 x 3 convolution reduces the channels and halves the size. With `stride` 1, a point-wise
    convolution reduces the channels.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        width = outputs // 5
        self.c1 = _named_conv(inputs, width, 3 if stride == 2 else 1, stride)
        self.d1 = _named_conv(width, outputs - 4 * width, 3)
        self.d2 = _named_conv(width, width, 3, dilation=2)
        self.d4 = _named_conv(width, width, 3, dilation=4)
        self.d8 = _named_conv(width, width, 3, dilation=8)
        self.d16 = _named_conv(width, width, 3, dilation=16)

    def pyramid(self, x: Tensor) -> Tensor:
        """Return the concatenated branches, before batch norm."""
        reduced = self.c1(x)
        sums = [self.d2(reduced)]
        for branch in (self.d4, self.d8, self.d16):
            sums.append(sums[-1] + branch(reduced))
        return torch.cat([self.d1(reduced), *sums], dim=1)


def _named_conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    block = Conv(inputs, outputs, kernel, stride)
    block.conv = _conv(inputs, outputs, kernel, stride, dilation)
    return block


class Downsampler(SpatialPyramid):
    """An ESP unit that halves the size, without a residual connection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__(inputs, outputs, stride=2)
        self.bn = _norm(outputs)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the input's size."""
        return cast(Tensor, self.act(self.bn(self.pyramid(x))))


class ESPBlock(SpatialPyramid):
    """An ESP unit at constant size, with a residual connection if `residual` is true."""

    def __init__(self, inputs: int, outputs: int, residual: bool = True) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__(inputs, outputs)
        self.residual = residual
        self.bn = NormAct(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's size."""
        features = self.pyramid(x)
        return cast(Tensor, self.bn(x + features if self.residual else features))


class Encoder(nn.Module):
    """ESPNet-C: features at 1/2, 1/4 and 1/8 of the image size; the first two include the image (figure 4c)."""

    def __init__(self, classes: int, p: int, q: int) -> None:
        """Build with `p` ESP units at 1/4 and `q` ESP units at 1/8 of the image size."""
        super().__init__()
        self.level1 = ConvNormAct(3, 16, 3, stride=2)
        self.b1 = NormAct(16 + 3)
        self.level2_0 = Downsampler(16 + 3, 64)
        self.level2 = nn.ModuleList(ESPBlock(64, 64) for _ in range(p))
        self.b2 = NormAct(128 + 3)
        self.level3_0 = Downsampler(128 + 3, 128)
        self.level3 = nn.ModuleList(ESPBlock(128, 128) for _ in range(q))
        self.b3 = NormAct(256)
        self.classifier = Conv(256, classes, 1)
        self.halve = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the features of level 1, level 1 with the image, level 2, and the class scores of level 3."""
        half = self.halve(image)
        quarter = self.halve(half)
        level1 = self.level1(image)
        joined1 = self.b1(torch.cat([level1, half], dim=1))
        first2 = deep2 = self.level2_0(joined1)
        for block in self.level2:
            deep2 = block(deep2)
        joined2 = self.b2(torch.cat([deep2, first2, quarter], dim=1))
        first3 = deep3 = self.level3_0(joined2)
        for block in self.level3:
            deep3 = block(deep3)
        return level1, joined1, joined2, self.classifier(self.b3(torch.cat([first3, deep3], dim=1)))


class ESPNet(nn.Module):
    """ESPNet with decoder (figure 4d): maps images `(N, 3, H, W)`, H and W multiples of 8, to logits of that size.

    The published state dictionaries of the authors (github.com/sacmehta/ESPNet, `espnet_p_*_q_*.pth`) can be loaded.
    There are two layouts. In the network trained on CamVid, the last stage of the decoder gets the 16 features of
    level 1 and the downsampled image; in the network trained on Cityscapes, it gets the 16 features only.

    Example:
        >>> import torch
        >>> ESPNet(classes=11, p=2, q=3).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    def __init__(self, classes: int = 19, p: int = 2, q: int = 8, join_image: bool = True) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            p: number of ESP units at 1/4 of the image size.
            q: number of ESP units at 1/8 of the image size.
            join_image: whether the last stage of the decoder gets the downsampled image (the CamVid layout).

        Raises:
            InputError: fewer than 5 classes. The ESP unit of the decoder splits them over five branches.
        """
        super().__init__()
        if classes < 5:
            raise InputError(
                f"ESPNet got classes={classes}, expected 5 or more.", setting="classes", kind="out_of_range"
            )
        self.join_image = join_image
        self.encoder = Encoder(classes, p, q)
        self.level3_C = Conv(128 + 3, classes, 1)
        self.br = _norm(classes)
        self.up_l3 = nn.Sequential(_double(classes))
        self.combine_l2_l3 = nn.Sequential(NormAct(2 * classes), ESPBlock(2 * classes, classes, residual=False))
        self.up_l2 = nn.Sequential(_double(classes), NormAct(classes))
        self.conv = ConvNormAct(classes + 16 + (3 if join_image else 0), classes, 3)
        self.classifier = _double(classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        level1, joined1, joined2, scores3 = self.encoder(image)
        eighth = self.up_l3(self.br(scores3))
        quarter = self.up_l2(self.combine_l2_l3(torch.cat([self.level3_C(joined2), eighth], dim=1)))
        half = self.conv(torch.cat([quarter, joined1 if self.join_image else level1], dim=1))
        return cast(Tensor, self.classifier(half))


def _double(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)
