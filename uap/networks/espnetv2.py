"""ESPNetv2, an efficient segmentation network at several widths (Mehta et al., CVPR 2019, arXiv 1811.11431)."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.utils.errors import InputError

BRANCHES = 4
"""Number of parallel dilated convolutions in an EESP unit, and of groups in its point-wise convolutions."""

SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
"""Scales of the pyramid in the decoder, relative to the size of the features."""


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)


class Named(nn.Sequential):
    """Modules in sequence; their parameters have the published names that are given here."""

    def __init__(self, **modules: nn.Module) -> None:
        """Join modules by name, in the order of their use."""
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def _conv_norm_act(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Named:
    conv = _conv(inputs, outputs, kernel, stride, groups=groups)
    return Named(conv=conv, bn=nn.BatchNorm2d(outputs), act=nn.PReLU(outputs))


def cbr(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Named:
    """Return a convolution with batch norm and PReLU under the published name `cbr`."""
    return Named(cbr=nn.Sequential(*_conv_norm_act(inputs, outputs, kernel, stride, groups)))


def norm_act(channels: int) -> nn.Sequential:
    """Return batch norm and PReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Return features `(N, C, height, width)`, interpolated bilinearly with aligned corners."""
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=True)


class EESP(nn.Module):
    """Extremely efficient spatial pyramid: depth-wise dilated convolutions with hierarchical fusion (figure 1).

    A grouped point-wise convolution reduces the channels. The sum of the first i branches is output i. Another grouped
    point-wise convolution fuses the outputs. With `stride` 1 the input is added and PReLU follows; with `stride` 2
    neither does, because the downsampler goes on with the result. Then `module_act` has no use but its published name.
    """

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, ...], stride: int = 1) -> None:
        """Build from `inputs` to `outputs` channels; with `stride` 1 they are equal."""
        super().__init__()
        width = outputs // BRANCHES
        self.residual = stride == 1
        self.proj_1x1 = _conv_norm_act(inputs, width, 1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(Named(conv=_conv(width, width, 3, stride, d, groups=width)) for d in dilations)
        self.br_after_cat = Named(bn=nn.BatchNorm2d(outputs), act=nn.PReLU(outputs))
        self.conv_1x1_exp = Named(conv=_conv(outputs, outputs, 1, groups=BRANCHES), bn=nn.BatchNorm2d(outputs))
        self.module_act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the input's size."""
        reduced = self.proj_1x1(x)
        sums = [self.spp_dw[0](reduced)]
        for branch in self.spp_dw[1:]:
            sums.append(sums[-1] + branch(reduced))
        fused = cast(Tensor, self.conv_1x1_exp(self.br_after_cat(torch.cat(sums, dim=1))))
        return cast(Tensor, self.module_act(x + fused)) if self.residual else fused


class Downsampler(nn.Module):
    """A strided EESP unit beside average pooling, with a shortcut from the image (figure 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        self.eesp = EESP(inputs, outputs - inputs, (1, 2, 3, 4), stride=2)
        self.avg = nn.AvgPool2d(3, stride=2, padding=1)
        self.inp_reinf = nn.Sequential(
            _conv_norm_act(3, 3, 3), Named(conv=_conv(3, outputs, 1), bn=nn.BatchNorm2d(outputs))
        )
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Return features at half the size of `x`, rounded up; `image` `(N, 3, h, w)` has that size."""
        joint = torch.cat([self.avg(x), self.eesp(x)], dim=1)
        return cast(Tensor, self.act(joint + self.inp_reinf(image)))


class Encoder(nn.Module):
    """The ESPNetv2 of image classification up to 1/16 of the image size."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        """Build with channels at 1/2, 1/4, 1/8 and 1/16 of the image size."""
        super().__init__()
        first, second, third, fourth = channels
        self.level1 = _conv_norm_act(3, first, 3, stride=2)
        self.level2_0 = Downsampler(first, second)
        self.level3_0 = Downsampler(second, third)
        self.level3 = nn.ModuleList(EESP(third, third, (1, 2, 3, 4)) for _ in range(3))
        self.level4_0 = Downsampler(third, fourth)
        self.level4 = nn.ModuleList(EESP(fourth, fourth, (1, 1, 2, 3)) for _ in range(7))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features at 1/2, 1/4, 1/8 and 1/16 of the image size, rounded up."""
        quarter = self.halve(self.halve(image))
        eighth = self.halve(quarter)
        level1 = self.level1(image)
        level2 = self.level2_0(level1, quarter)
        level3 = self.level3_0(level2, eighth)
        for block in self.level3:
            level3 = block(level3)
        level4 = self.level4_0(level3, self.halve(eighth))
        for block in self.level4:
            level4 = block(level4)
        return level1, level2, level3, level4


class PyramidPool(nn.Module):
    """Efficient pyramid pooling: depth-wise convolutions of the features at several scales, shuffled and merged."""

    def __init__(self, inputs: int, narrow: int, outputs: int, last: bool = False) -> None:
        """Build from `inputs` to `outputs` channels; the `last` one has a bias in place of batch norm and PReLU."""
        super().__init__()
        self.projection_layer = cbr(inputs, narrow, 1)
        self.stages = nn.ModuleList(_conv(narrow, narrow, 3, groups=narrow) for _ in SCALES)
        self.merge_layer = nn.Sequential(
            Named(br=norm_act(len(SCALES) * narrow)),
            nn.ChannelShuffle(len(SCALES)),
            cbr(len(SCALES) * narrow, narrow, 3, groups=narrow),
            nn.Conv2d(narrow, outputs, 1, bias=last),
        )
        self.br = nn.Identity() if last else Named(br=norm_act(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's size."""
        x = self.projection_layer(x)
        scaled = [_at_scale(stage, x, scale) for stage, scale in zip(self.stages, SCALES, strict=True)]
        return cast(Tensor, self.br(self.merge_layer(torch.cat(scaled, dim=1))))


def _at_scale(stage: nn.Module, x: Tensor, scale: float) -> Tensor:
    """Return the output of `stage` on scaled features, at the size of `x`; a scaled side has 5 or more pixels."""
    height, width = x.shape[-2:]
    if scale == 1:
        return cast(Tensor, stage(x))
    scaled = max(math.ceil(height * scale), 5), max(math.ceil(width * scale), 5)
    if scale < 1:
        return resize(stage(F.adaptive_avg_pool2d(x, scaled)), height, width)
    return F.adaptive_avg_pool2d(stage(resize(x, *scaled)), (height, width))


class Gated(nn.Module):
    """A grouped 3 x 3 convolution, scaled by weights computed from the channels' means over the image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        self.wt_layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), _conv(inputs, outputs, 1), nn.Sigmoid())
        self.expansion_layer = cbr(inputs, outputs, 3, groups=math.gcd(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's size."""
        return cast(Tensor, self.wt_layer(x) * self.expansion_layer(x))


class ESPNetv2(nn.Module):
    """ESPNetv2 with decoder: maps images `(N, 3, H, W)` of any size to logits of that size, upsampled from 1/2.

    The authors trained it at sizes that are multiples of 32. Their published state dictionaries
    (github.com/sacmehta/EdgeNets, `espnetv2_s_*.pth`) can be loaded. The decoder is that of these files: a pyramid of
    scales at each of 1/16, 1/8, 1/4 and 1/2 of the image size, and all upsampling with aligned corners.

    Example:
        >>> import torch
        >>> ESPNetv2(classes=11, width=0.5).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    def __init__(self, classes: int = 19, width: float = 1.0) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            width: factor of the encoder's channels, `s` in the names of the published files: 0.5, or 1.0 and more in
                steps of 0.25. With others the groups of the convolutions do not divide the channels.

        Raises:
            InputError: fewer than 2 classes, or another width.
        """
        super().__init__()
        if classes < 2:
            raise InputError(
                f"ESPNetv2 got classes={classes}, expected 2 or more.", setting="classes", kind="out_of_range"
            )
        if width != 0.5 and not (1 <= width < math.inf and width % 0.25 == 0):
            raise InputError(
                f"ESPNetv2 got width={width}, expected 0.5, or 1.0 and more in steps of 0.25.",
                setting="width",
                kind="out_of_range",
            )
        base = int(32 * width)
        first, second, third, fourth = min(base, 32), 2 * base, 4 * base, 8 * base
        narrow = min(classes // 2, 16)
        self.base_net = Encoder((first, second, third, fourth))
        self.bu_dec_l1 = PyramidPool(fourth, narrow, 64)
        self.bu_dec_l2 = PyramidPool(64, narrow, 48)
        self.bu_dec_l3 = PyramidPool(48, narrow, 32)
        self.bu_dec_l4 = PyramidPool(32, narrow, classes, last=True)
        self.merge_enc_dec_l2 = Gated(third, 64)
        self.merge_enc_dec_l3 = Gated(second, 48)
        self.merge_enc_dec_l4 = Gated(first, 32)
        self.bu_br_l2 = norm_act(64)
        self.bu_br_l3 = norm_act(48)
        self.bu_br_l4 = norm_act(32)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        level1, level2, level3, level4 = self.base_net(image)
        deep = self.bu_dec_l1(level4)
        deep = self.bu_dec_l2(self.bu_br_l2(add_upsampled(deep, self.merge_enc_dec_l2(level3))))
        deep = self.bu_dec_l3(self.bu_br_l3(add_upsampled(deep, self.merge_enc_dec_l3(level2))))
        deep = self.bu_dec_l4(self.bu_br_l4(add_upsampled(deep, self.merge_enc_dec_l4(level1))))
        return resize(deep, *image.shape[-2:])


def add_upsampled(deep: Tensor, shallow: Tensor) -> Tensor:
    """Return the sum of features at the size of the shallow ones."""
    return resize(deep, *shallow.shape[-2:]) + shallow
