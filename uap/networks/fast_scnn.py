"""Fast-SCNN, a network for high-resolution images on small devices (Poudel et al., BMVC 2019)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 6
"""Expansion factor of the channels inside a bottleneck (table 1)."""

POOLED_SIZES = (1, 2, 3, 6)
"""Heights and widths of the pooled features of the pyramid (Zhao et al., CVPR 2017, sec. 3.2)."""


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)  # as for the published weights


class ConvNormReLU(nn.Module):
    """Convolution, batch norm, ReLU; `conv` has the published parameter names."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, depthwise: bool = False) -> None:
        """Build from `inputs` to `outputs` channels; a depthwise convolution keeps the size at stride 1."""
        super().__init__()
        groups, padding = (inputs, 1) if depthwise else (1, 0)
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the input's size."""
        return cast(Tensor, self.conv(x))


class SeparableConv(nn.Module):
    """A depthwise convolution and a point-wise one, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        depthwise, pointwise = ConvNormReLU(inputs, inputs, 3, stride, depthwise=True), ConvNormReLU(inputs, outputs, 1)
        self.conv = nn.Sequential(*depthwise.conv, *pointwise.conv)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the input's size."""
        return cast(Tensor, self.conv(x))


class Bottleneck(nn.Module):
    """Inverted residual of MobileNet v2: expansion, depthwise convolution, linear projection (table 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build from `inputs` to `outputs` channels, with a residual connection if the shapes agree."""
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        wide = inputs * EXPANSION
        self.block = nn.Sequential(
            ConvNormReLU(inputs, wide, 1),
            ConvNormReLU(wide, wide, 3, stride, depthwise=True),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the input's size."""
        features: Tensor = self.block(x)
        return x + features if self.residual else features


def _bottlenecks(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        Bottleneck(inputs, outputs, stride), Bottleneck(outputs, outputs, 1), Bottleneck(outputs, outputs, 1)
    )


class LearningToDownsample(nn.Module):
    """The first layers: features at 1/8 of the image size for both branches (sec. 3.2.1)."""

    def __init__(self) -> None:
        """Build from RGB images to 64 channels."""
        super().__init__()
        self.conv = ConvNormReLU(3, 32, 3, stride=2)
        self.dsconv1 = SeparableConv(32, 48, stride=2)
        self.dsconv2 = SeparableConv(48, 64, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """Return features `(N, 64, H / 8, W / 8)`."""
        return cast(Tensor, self.dsconv2(self.dsconv1(self.conv(image))))


class PyramidPooling(nn.Module):
    """Pyramid pooling: features concatenated with their averages over 1, 4, 9 and 36 regions (sec. 3.2.2)."""

    def __init__(self, channels: int) -> None:
        """Build for `channels` channels in and out."""
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.conv4 = (
            ConvNormReLU(channels, channels // len(POOLED_SIZES), 1) for _ in POOLED_SIZES
        )
        self.out = ConvNormReLU(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        size = (x.shape[-2], x.shape[-1])
        reductions = zip((self.conv1, self.conv2, self.conv3, self.conv4), POOLED_SIZES, strict=True)
        pooled = [_resize(reduce(F.adaptive_avg_pool2d(x, count)), size) for reduce, count in reductions]
        return cast(Tensor, self.out(torch.cat([x, *pooled], dim=1)))


class GlobalFeatures(nn.Module):
    """The deep branch, at 1/32 of the image size (sec. 3.2.2)."""

    def __init__(self) -> None:
        """Build from 64 to 128 channels."""
        super().__init__()
        self.bottleneck1 = _bottlenecks(64, 64, 2)
        self.bottleneck2 = _bottlenecks(64, 96, 2)
        self.bottleneck3 = _bottlenecks(96, 128, 1)
        self.ppm = PyramidPooling(128)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, 128, h / 4, w / 4)` of features `(N, 64, h, w)`."""
        return cast(Tensor, self.ppm(self.bottleneck3(self.bottleneck2(self.bottleneck1(x)))))


class FeatureFusion(nn.Module):
    """The sum of both branches at 1/8 of the image size (sec. 3.2.3)."""

    def __init__(self) -> None:
        """Build from 64 and 128 channels to 128."""
        super().__init__()
        self.dwconv = ConvNormReLU(128, 128, 3, depthwise=True)
        self.conv_lower_res = nn.Sequential(nn.Conv2d(128, 128, 1), nn.BatchNorm2d(128))
        self.conv_higher_res = nn.Sequential(nn.Conv2d(64, 128, 1), nn.BatchNorm2d(128))

    def forward(self, fine: Tensor, deep: Tensor) -> Tensor:
        """Return features `(N, 128, h, w)` of the size of `fine`."""
        deep = self.dwconv(_resize(deep, (fine.shape[-2], fine.shape[-1])))
        return F.relu(self.conv_higher_res(fine) + self.conv_lower_res(deep))


class Classifier(nn.Module):
    """Two separable convolutions and a convolution to the logits (sec. 3.2.4)."""

    def __init__(self, classes: int) -> None:
        """Build from 128 channels to `classes`."""
        super().__init__()
        self.dsconv1 = SeparableConv(128, 128)
        self.dsconv2 = SeparableConv(128, 128)
        self.conv = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(128, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits at the input's size."""
        return cast(Tensor, self.conv(self.dsconv2(self.dsconv1(x))))


class FastSCNN(nn.Module):
    """Fast-SCNN: maps images `(N, 3, H, W)`, with H and W multiples of 32 / `enlarge`, to logits of that size.

    The state dictionaries of github.com/Tramac/Fast-SCNN-pytorch (`fast_scnn_citys.pth`) can be loaded. Their auxiliary
    head for training, `auxlayer`, is left out.

    Example:
        >>> import torch
        >>> FastSCNN(classes=11).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    unused_weights = ("auxlayer.",)
    """Prefixes of weights in published files that only the training needs."""

    def __init__(self, classes: int = 19, enlarge: int = 1) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            enlarge: factor by which images are first enlarged. Use it for small images, in which features at 1/8 of the
                size are too coarse for narrow objects.
        """
        super().__init__()
        self.enlarge = enlarge
        self.learning_to_downsample = LearningToDownsample()
        self.global_feature_extractor = GlobalFeatures()
        self.feature_fusion = FeatureFusion()
        self.classifier = Classifier(classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        size = (image.shape[-2], image.shape[-1])
        if self.enlarge > 1:
            image = F.interpolate(image, scale_factor=float(self.enlarge), mode="bilinear", align_corners=False)
        fine = self.learning_to_downsample(image)
        fused = self.feature_fusion(fine, self.global_feature_extractor(fine))
        return _resize(self.classifier(fused), size)
