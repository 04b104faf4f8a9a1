"""DLA-34, a network with deep layer aggregation (Yu, Wang, Shelhamer and Darrell, CVPR 2018)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.drn import grouped_bilinear_upsampling
from uap.networks.resnet import initialize_convolutions
from uap.utils.errors import InputError


class _Block(nn.Module):
    """Two 3 x 3 convolutions, to which a residual connection is added that the caller computes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + residual)


class _Root(nn.Module):
    """The aggregation node of a tree: a 1 x 1 convolution of all features below it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return F.relu(self.bn(self.conv(torch.cat([*features], 1))))


class _Tree(nn.Module):
    """Two blocks and the root that aggregates them, with features from outside the tree (sec. 3.2)."""

    def __init__(self, inputs: int, outputs: int, stride: int, aggregated: int = 0) -> None:
        """Build a tree whose root has `aggregated` more channels from outside."""
        super().__init__()
        self.stride = stride
        self.tree1 = _Block(inputs, outputs, stride)
        self.tree2 = _Block(outputs, outputs)
        self.root = _Root(2 * outputs + aggregated, outputs)
        self.project = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            if inputs != outputs
            else None
        )

    def forward(self, x: Tensor, outside: Sequence[Tensor] = ()) -> Tensor:
        bottom = _pool(x, self.stride)
        first = self.tree1(x, bottom if self.project is None else self.project(bottom))
        second = self.tree2(first, first)
        return cast(Tensor, self.root([second, first, *outside]))


class _DeepTree(nn.Module):
    """Two trees in a row; the root of the second also aggregates the pooled input and the first tree."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.tree1 = _Tree(inputs, outputs, 2)
        self.tree2 = _Tree(outputs, outputs, 1, inputs + outputs)

    def forward(self, x: Tensor) -> Tensor:
        first = self.tree1(x)
        return cast(Tensor, self.tree2(first, [_pool(x, 2), first]))


class _Encoder(nn.Module):
    """The encoder DLA-34: maps images to the features of its levels 1 to 5, at 1/2 to 1/32 of the image size."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.base_layer = _convolution(3, channels[0], 7)
        self.level0 = _convolution(channels[0], channels[0], 3)
        self.level1 = _convolution(channels[0], channels[1], 3, 2)
        self.level2 = _Tree(channels[1], channels[2], 2)
        self.level3 = _DeepTree(channels[2], channels[3])
        self.level4 = _DeepTree(channels[3], channels[4])
        self.level5 = _Tree(channels[4], channels[5], 2, channels[4])

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.level0(self.base_layer(image))
        features = []
        for level in (self.level1, self.level2, self.level3, self.level4):
            x = level(x)
            features.append(x)
        return [*features, self.level5(x, [_pool(x, 2)])]


class _Upsampling(nn.Module):
    """Iterative aggregation: brings features to the channels and the size of the first, and merges them in a row."""

    def __init__(self, outputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.count = len(channels)
        for i, inputs in enumerate(channels[1:], 1):
            self.add_module(f"proj_{i}", _convolution(inputs, outputs, 1) if inputs != outputs else nn.Identity())
            self.add_module(f"up_{i}", grouped_bilinear_upsampling(outputs, 2))
            self.add_module(f"node_{i}", _convolution(2 * outputs, outputs, 3))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the merged features after each node."""
        x, merged = features[0], []
        for i in range(1, self.count):
            finer = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(features[i]))
            x = self.get_submodule(f"node_{i}")(torch.cat([x, finer], 1))
            merged.append(x)
        return merged


class _Decoder(nn.Module):
    """Aggregates the levels from the deepest on; each step merges one level more, at twice the size (sec. 4.2)."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        for i, (deeper, outputs) in enumerate(pairwise(reversed(channels))):
            self.add_module(f"ida_{i}", _Upsampling(outputs, [outputs, *[deeper] * (i + 1)]))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        merged: list[Tensor] = []
        for i, (deeper, level) in enumerate(pairwise(reversed(levels))):
            merged = self.get_submodule(f"ida_{i}")([level, deeper, *merged])
        return merged[-1]


class DLA34(nn.Module):
    """DLA-34 for segmentation: maps images `(N, 3, H, W)`, H and W multiples of 32, to logits of that size.

    Trees of residual blocks aggregate features within a level (sec. 3.2), and iterative aggregation merges the levels
    up to 1/2 of the image size (sec. 4.2, arXiv 1707.06484). Xiao et al. (ECCV 2018) attack this network.

    State dictionaries with the layer names of the authors' code (github.com/ucbdrive/dla, `dla34up`) can be loaded.

    Example:
        >>> import torch
        >>> DLA34(classes=11, width=4).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    unused_weights = ("base.fc.", "base.level3.project.", "base.level4.project.")
    """The classifier for ImageNet, and projections whose results the authors' code computes and does not use."""

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
            raise InputError(f"DLA34 got width={width}, expected 1 or more.", setting="width", kind="out_of_range")
        channels = [width * 2**level for level in range(6)]
        self.base = _Encoder(channels)
        self.dla_up = _Decoder(channels[1:])
        self.fc = nn.Sequential(nn.Conv2d(channels[1], classes, 1))
        self.up = grouped_bilinear_upsampling(classes, 2).requires_grad_(False)
        initialize_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        return cast(Tensor, self.up(self.fc(self.dla_up(self.base(image)))))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _pool(x: Tensor, stride: int) -> Tensor:
    return F.max_pool2d(x, stride) if stride > 1 else x
