"""ICNet, a cascade of three image sizes (Zhao et al., ECCV 2018, arXiv 1704.08545)."""

import torch.nn.functional as F
from torch import Tensor, nn

from uap.utils.errors import InputError

BLOCKS = (3, 4, 6, 3)
"""Number of residual blocks of each stage: those of ResNet-50."""

DILATIONS = (1, 1, 2, 4)
"""Dilation of the 3 x 3 convolutions of each stage."""

POOLED = (1, 2, 3, 6)
"""Windows along each side in the four levels of the pyramid pooling."""

WIDTH = 32
"""Channels of the first convolution in the published network, half of those of PSPNet."""


class ICNet(nn.Module):
    """ICNet: maps images `(N, 3, H, W)` of any size to logits of that size.

    A ResNet-50 with pyramid pooling sees the image at 1/2 of its size, and from the first block of its third stage on
    at 1/4. Three convolutions see the whole image. Two fusion units add their features (sec. 3). Sizes are rounded up,
    and resizing aligns the corners, as in the published network for images of 1025 x 2049.

    Weights with the layer names of the authors' Caffe network (github.com/hszhao/ICNet, `conv1_1_3x3_s2`,
    `conv1_1_3x3_s2/bn` to `conv6_cls`) can be loaded.

    Example:
        >>> import torch
        >>> ICNet(classes=3, width=4).eval()(torch.zeros(2, 3, 65, 96)).shape
        torch.Size([2, 3, 65, 96])
    """

    unused_weights = ("conv6_sub4.", "conv6_sub2.")
    """Scores of the two smaller image sizes, which only the training needs."""

    def __init__(self, classes: int = 19, width: int = WIDTH) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            width: channels of the first convolution; all others are multiples of it.

        Raises:
            InputError: a width below 1.
        """
        super().__init__()
        if width < 1:
            raise InputError(f"ICNet got width={width}, expected 1 or more.", setting="width", kind="out_of_range")
        self.layers = nn.ModuleDict()
        self._add("conv1_1_3x3_s2", 3, width, 3, stride=2)
        self._add("conv1_2_3x3", width, width, 3)
        self._add("conv1_3_3x3", width, 2 * width, 3)
        inputs = 2 * width
        for stage, (count, dilation) in enumerate(zip(BLOCKS, DILATIONS, strict=True), 2):
            inner, outputs = width * 2 ** (stage - 2), width * 2**stage
            for block in range(1, count + 1):
                stride = 2 if (stage, block) == (3, 1) else 1
                self._add(f"conv{stage}_{block}_1x1_reduce", inputs, inner, stride=stride)
                self._add(f"conv{stage}_{block}_3x3", inner, inner, 3, dilation=dilation)
                self._add(f"conv{stage}_{block}_1x1_increase", inner, outputs)
                if block == 1:
                    self._add(f"conv{stage}_1_1x1_proj", inputs, outputs, stride=stride)
                inputs = outputs
        self._add("conv5_4_k1", inputs, 8 * width)
        self._add("conv_sub4", 8 * width, 4 * width, 3, dilation=2)
        self._add("conv3_1_sub2_proj", 8 * width, 4 * width)
        self._add("conv_sub2", 4 * width, 4 * width, 3, dilation=2)
        self._add("conv1_sub1", 3, width, 3, stride=2)
        self._add("conv2_sub1", width, width, 3, stride=2)
        self._add("conv3_sub1", width, 2 * width, 3, stride=2)
        self._add("conv3_sub1_proj", 2 * width, 4 * width)
        self.layers["conv6_cls"] = nn.Conv2d(4 * width, classes, 1)

    def _add(self, name: str, inputs: int, outputs: int, size: int = 1, stride: int = 1, dilation: int = 1) -> None:
        layer = nn.Conv2d(inputs, outputs, size, stride, dilation * (size // 2), dilation, bias=False)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.layers[name] = layer
        self.layers[f"{name}/bn"] = nn.BatchNorm2d(outputs)

    def published_names(self) -> dict[str, str]:
        """Return the name in this class of each layer of the authors' network: `conv6_cls` is `layers.conv6_cls`."""
        return {name: f"layers.{name}" for name in self.layers}

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        half = _resize(image, _halved(image))
        for name in ("conv1_1_3x3_s2", "conv1_2_3x3", "conv1_3_3x3"):
            half = F.relu(self._convolve(half, name))
        half = F.max_pool2d(half, 3, stride=2, padding=1)
        for name in ("conv2_1", "conv2_2", "conv2_3", "conv3_1"):
            half = self._block(half, name)
        quarter = self._see_quarter(_resize(half, _halved(half)))

        whole = image
        for name in ("conv1_sub1", "conv2_sub1", "conv3_sub1"):
            before, whole = whole, F.relu(self._convolve(whole, name))
        fused = self._fuse(quarter, "conv_sub4", half, "conv3_1_sub2_proj")
        fused = self._fuse(fused, "conv_sub2", whole, "conv3_sub1_proj")
        logits = self.layers["conv6_cls"](_resize(fused, before.shape[-2:]))
        return _resize(logits, image.shape[-2:])

    def _see_quarter(self, x: Tensor) -> Tensor:
        """Return the features of the smallest image size, from the second block of the third stage on."""
        for stage, count in enumerate(BLOCKS[1:], 3):
            for block in range(2 if stage == 3 else 1, count + 1):
                x = self._block(x, f"conv{stage}_{block}")
        pooled = [_resize(_pool(x, windows), x.shape[-2:]) for windows in POOLED]
        return F.relu(self._convolve(x + sum(pooled), "conv5_4_k1"))

    def _convolve(self, x: Tensor, name: str) -> Tensor:
        normalized: Tensor = self.layers[f"{name}/bn"](self.layers[name](x))
        return normalized

    def _block(self, x: Tensor, name: str) -> Tensor:
        inner = F.relu(self._convolve(x, f"{name}_1x1_reduce"))
        inner = F.relu(self._convolve(inner, f"{name}_3x3"))
        shortcut = self._convolve(x, f"{name}_1x1_proj") if f"{name}_1x1_proj" in self.layers else x
        return F.relu(shortcut + self._convolve(inner, f"{name}_1x1_increase"))

    def _fuse(self, small: Tensor, name: str, large: Tensor, projection: str) -> Tensor:
        """Add features of a small image size, enlarged, to those of the next larger one (figure 3 of the paper)."""
        enlarged = self._convolve(_resize(small, large.shape[-2:]), name)
        return F.relu(enlarged + self._convolve(large, projection))


def _halved(x: Tensor) -> tuple[int, int]:
    return (x.shape[-2] + 1) // 2, (x.shape[-1] + 1) // 2


def _resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def _pool(x: Tensor, windows: int) -> Tensor:
    """Return means over overlapping windows, at 33 x 65 those of the published network; small maps have fewer."""
    sizes, strides = zip(*(_window(side, min(windows, side)) for side in x.shape[-2:]), strict=True)
    return F.avg_pool2d(x, sizes, strides)


def _window(side: int, count: int) -> tuple[int, int]:
    """Return size and stride of `count` windows along a side; three windows have twice the stride of six."""
    stride = max(1, 2 * (side // 6) if count == 3 else side // count)
    return side - (count - 1) * stride, stride
