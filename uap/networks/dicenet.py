"""DiCENet, a network of dimension-wise convolutions at several widths (Mehta et al., TPAMI 2020, arXiv 1906.03516)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.espnetv2 import Gated, Named, PyramidPool, add_upsampled, cbr, norm_act, resize
from uap.utils.errors import InputError

CHANNELS = {
    0.2: (16, 32, 64),
    0.5: (24, 48, 96),
    0.75: (24, 86, 172),
    1.0: (24, 116, 232),
    1.25: (24, 144, 288),
    1.5: (24, 176, 352),
    1.75: (24, 210, 420),
    2.0: (24, 244, 488),
}
"""Channels at 1/2 and 1/4, at 1/8, and at 1/16 of the image size, for each published width."""

BLOCKS = (3, 7)
"""Number of shuffle blocks at 1/8 and at 1/16 of the image size."""

SIDES = (28, 14)
"""Height and width of the features at 1/8 and at 1/16 in the training on ImageNet, for which rows have weights."""


class DiCE(nn.Module):
    """DiCE unit: depth-wise, height-wise and width-wise convolutions, and their fusion (sec. 3).

    The height-wise convolution has one 3 x 3 filter for each of `side` rows, which slides over channels and columns;
    the width-wise one has one for each of `side` columns. Features of another height or width are resized to `side`
    there, and the result is resized back.
    """

    def __init__(self, channels: int, side: int) -> None:
        """Build for `channels` channels."""
        super().__init__()
        self.side = side
        self.conv_channel = _depthwise(channels)
        self.conv_width = _depthwise(side)
        self.conv_height = _depthwise(side)
        self.br_act = Named(br=norm_act(3 * channels))
        self.vol_shuffle = nn.ChannelShuffle(3)
        self.weight_avg_layer = cbr(3 * channels, channels, 1, groups=channels)
        self.proj_layer = cbr(channels, channels, 3, groups=channels)
        self.linear_comb_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels // 4, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape `(N, C, H, W)`."""
        height, width = x.shape[-2:]
        rows = _fit(x, self.side, width).transpose(1, 2)
        columns = _fit(x, height, self.side).transpose(1, 3)
        by_height = _fit(self.conv_height(rows).transpose(1, 2), height, width)
        by_width = _fit(self.conv_width(columns).transpose(1, 3), height, width)
        joint = self.br_act(torch.cat([self.conv_channel(x), by_height, by_width], dim=1))
        fused = self.weight_avg_layer(self.vol_shuffle(joint))
        return cast(Tensor, self.proj_layer(fused) * self.linear_comb_layer(fused))


def _depthwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)


def _fit(x: Tensor, height: int, width: int) -> Tensor:
    """Return features of a height and width, of which one differs at most: interpolated, or averaged if it is less."""
    if x.shape[-2:] == (height, width):
        return x
    if height > x.shape[-2] or width > x.shape[-1]:
        return resize(x, height, width)
    return F.adaptive_avg_pool2d(x, (height, width))


class Downsampler(nn.Module):
    """Two branches of stride 2 that are shuffled: a depth-wise convolution, and average pooling with a DiCE unit."""

    def __init__(self, channels: int, side: int) -> None:
        """Build from `channels` channels to twice as many."""
        super().__init__()
        self.left_layer = nn.Sequential(
            cbr(channels, channels, 3, stride=2, groups=channels), cbr(channels, channels, 1)
        )
        self.right_layer = nn.Sequential(
            nn.AvgPool2d(3, stride=2, padding=1), DiCE(channels, side), cbr(channels, channels, 1)
        )
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the input's size, rounded up."""
        return cast(Tensor, self.shuffle(torch.cat([self.left_layer(x), self.right_layer(x)], dim=1)))


class ShuffleBlock(nn.Module):
    """A block of ShuffleNetv2 with a DiCE unit: half of the channels pass unchanged."""

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        self.kept = inputs // 2
        changed = outputs - self.kept
        self.layer_right = nn.Sequential(cbr(inputs - self.kept, changed, 1), DiCE(changed, side))
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's height and width."""
        kept, changed = x[:, : self.kept], x[:, self.kept :]
        return cast(Tensor, self.shuffle(torch.cat([kept, self.layer_right(changed)], dim=1)))


class Encoder(nn.Module):
    """The DiCENet of image classification up to 1/16 of the image size."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        """Build with channels at 1/2 and 1/4, at 1/8, and at 1/16 of the image size."""
        super().__init__()
        first, third, fourth = channels
        self.level1 = cbr(3, first, 3, stride=2)
        self.level2 = nn.MaxPool2d(3, stride=2, padding=1)
        self.level3 = _level(first, third, BLOCKS[0], SIDES[0])
        self.level4 = _level(third, fourth, BLOCKS[1], SIDES[1])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features at 1/2, 1/4, 1/8 and 1/16 of the image size, rounded up."""
        level1 = self.level1(image)
        level2 = self.level2(level1)
        level3 = self.level3(level2)
        return level1, level2, level3, self.level4(level3)


def _level(inputs: int, outputs: int, count: int, side: int) -> nn.Sequential:
    rest = (ShuffleBlock(outputs, outputs, side) for _ in range(count - 1))
    return nn.Sequential(Downsampler(inputs, side), ShuffleBlock(2 * inputs, outputs, side), *rest)


class DiCENet(nn.Module):
    """DiCENet with decoder: maps images `(N, 3, H, W)` of any size to logits of that size, upsampled from 1/2.

    The authors trained it at sizes that are multiples of 32. Their published state dictionaries
    (github.com/sacmehta/EdgeNets, `dicenet_s_*.pth`) can be loaded. The decoder is that of ESPNetv2 in these files.

    Example:
        >>> DiCENet(classes=5, width=0.2).eval()(torch.zeros(2, 3, 64, 96)).shape
        torch.Size([2, 5, 64, 96])
    """

    def __init__(self, classes: int = 19, width: float = 1.0) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            width: factor of the encoder's channels, `s` in the names of the published files: 0.2, 0.5, 0.75, 1.0, 1.25,
                1.5, 1.75 or 2.0.

        Raises:
            InputError: fewer than 2 classes, or another width.
        """
        super().__init__()
        if classes < 2:
            raise InputError(
                f"DiCENet got classes={classes}, expected 2 or more.", setting="classes", kind="out_of_range"
            )
        if width not in CHANNELS:
            raise InputError(
                f"DiCENet got width={width}, expected one of {', '.join(map(str, CHANNELS))}.",
                setting="width",
                kind="out_of_range",
            )
        first, third, fourth = CHANNELS[width]
        narrow = min(classes // 2, 16)
        self.base_net = Encoder((first, third, fourth))
        self.eff_pool_16x16 = PyramidPool(fourth, narrow, 64)
        self.eff_pool_32x32 = PyramidPool(64, narrow, 48)
        self.eff_pool_64x64 = PyramidPool(48, narrow, 32)
        self.eff_pool_128x128 = PyramidPool(32, narrow, classes, last=True)
        self.proj_enc_32x32 = Gated(third, 64)
        self.proj_enc_64x64 = Gated(first, 48)
        self.proj_enc_128x128 = Gated(first, 32)
        self.bu_br_32x32 = norm_act(64)
        self.bu_br_64x64 = norm_act(48)
        self.bu_br_128x128 = norm_act(32)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        level1, level2, level3, level4 = self.base_net(image)
        deep = self.eff_pool_16x16(level4)
        deep = self.eff_pool_32x32(self.bu_br_32x32(add_upsampled(deep, self.proj_enc_32x32(level3))))
        deep = self.eff_pool_64x64(self.bu_br_64x64(add_upsampled(deep, self.proj_enc_64x64(level2))))
        deep = self.eff_pool_128x128(self.bu_br_128x128(add_upsampled(deep, self.proj_enc_128x128(level1))))
        return resize(deep, *image.shape[-2:])
