"""DeepLab v2 on ResNet and on VGG16 (Chen et al., TPAMI 2018, arXiv 1606.00915): atrous spatial pyramid pooling."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.fcn8s import VGG16_CHANNELS, VGG16_CONVOLUTIONS
from uap.networks.resnet import IMAGENET_WIDTH, ResNetEncoder

DILATIONS = (6, 12, 18, 24)
"""Dilations of the four branches (ASPP-L in table 3)."""


class DeepLabv2ResNet(nn.Module):
    """DeepLab v2 on a ResNet: maps images `(N, 3, H, W)` of any size to logits of that size, upsampled from 1/8.

    Dilations of 2 and 4 replace the strides of the last two stages of the ResNet. The scores of four dilated
    convolutions are added (sec. 3.2). For several scales, put it into `uap.victims.Multiscale`.

    State dictionaries with the names of torchvision's ResNet and the scores `layer5.conv2d_list`
    (github.com/isht7/pytorch-deeplab-resnet, converted from the networks of the authors) can be loaded. As in these,
    the stride of a bottleneck is in its first convolution, and the first pooling rounds its size up.

    Example:
        >>> DeepLabv2ResNet(classes=3, depth=18, width=4)(torch.zeros(2, 3, 33, 65)).shape
        torch.Size([2, 3, 33, 65])
    """

    def __init__(self, classes: int = 21, depth: int = 101, width: int = IMAGENET_WIDTH) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            depth: depth of the ResNet: 18, 34, 50, 101 or 152.
            width: channels of the first convolution of the ResNet, 64 in the published ones.

        Raises:
            InputError: another depth, or a width below 1.
        """
        super().__init__()
        self.encoder = ResNetEncoder(depth, width, dilated=True)
        self.encoder.maxpool.ceil_mode = True
        first = self.encoder.layer2[0]
        cast(nn.Conv2d, first.conv1).stride = (2, 2)
        cast(nn.Conv2d, first.conv2).stride = (1, 1)
        inputs = self.encoder.channels[-1]
        self.aspp = nn.ModuleList(nn.Conv2d(inputs, classes, 3, padding=d, dilation=d) for d in DILATIONS)
        _initialize(self.aspp)

    def published_names(self) -> dict[str, str]:
        """Return the name in this class of each layer of pytorch-deeplab-resnet."""
        names = {name: f"encoder.{name}" for name, _ in self.encoder.named_modules() if name}
        return names | {f"layer5.conv2d_list.{i}": f"aspp.{i}" for i in range(len(DILATIONS))}

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        features = self.encoder(image)[-1]
        scores = torch.stack([branch(features) for branch in self.aspp]).sum(0)
        return F.interpolate(scores, image.shape[-2:], mode="bilinear", align_corners=True)


class DeepLabv2VGG(nn.Module):
    """DeepLab v2 on VGG16: maps images `(N, 3, H, W)` of any size to logits of that size, upsampled from 1/8.

    All poolings are 3 x 3. The last two have stride 1, and dilations replace their strides (sec. 3.1). Four branches
    of a dilated and two 1 x 1 convolutions follow, whose scores are added (figure 7). Weights with the layer names of
    the authors' Caffe network (`conv1_1` to `fc8_voc12_4`) can be loaded.

    Example:
        >>> net = DeepLabv2VGG(classes=3, channels=(4, 4, 4, 4, 4), head_channels=4)
        >>> net(torch.zeros(2, 3, 33, 65)).shape
        torch.Size([2, 3, 33, 65])
    """

    def __init__(
        self,
        classes: int = 21,
        channels: tuple[int, int, int, int, int] = VGG16_CHANNELS,
        head_channels: int = 1024,
        batch_norm: bool = False,
    ) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            channels: channels of the five stages of the encoder, by default those of VGG16.
            head_channels: channels of `fc6` and `fc7` in each branch.
            batch_norm: whether batch norm follows each convolution of the encoder, as in `vgg16_bn` of torchvision.
        """
        from torchvision.models.vgg import make_layers  # the import of torchvision takes a second

        super().__init__()
        plan: list[str | int] = []
        for outputs, count in zip(channels, VGG16_CONVOLUTIONS, strict=True):
            plan += [outputs] * count + ["M"]
        self.features = make_layers(plan, batch_norm)
        self._dilate()
        self.branches = nn.ModuleList(_branch(channels[-1], head_channels, classes, d) for d in DILATIONS)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        _initialize(nn.ModuleList(cast(nn.Sequential, branch)[-1] for branch in self.branches))

    def _dilate(self) -> None:
        stage = 0
        for i, layer in enumerate(self.features):
            if isinstance(layer, nn.MaxPool2d):
                stage += 1
                self.features[i] = nn.MaxPool2d(3, 2 if stage < 4 else 1, padding=1, ceil_mode=True)
            elif isinstance(layer, nn.Conv2d) and stage == 4:
                layer.dilation = layer.padding = (2, 2)

    def published_names(self) -> dict[str, str]:
        """Return the name in this class of each layer of the authors' network: `conv1_1` is `features.0`."""
        names = (f"conv{stage}_{i}" for stage, n in enumerate(VGG16_CONVOLUTIONS, 1) for i in range(1, n + 1))
        own = (f"features.{i}" for i, layer in enumerate(self.features) if isinstance(layer, nn.Conv2d))
        found = dict(zip(names, own, strict=True))
        for i in range(len(DILATIONS)):
            found |= {
                f"{name}_{i + 1}": f"branches.{i}.{at}" for name, at in (("fc6", 0), ("fc7", 3), ("fc8_voc12", 6))
            }
        return found

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        features = self.features(image)
        scores = torch.stack([branch(features) for branch in self.branches]).sum(0)
        return F.interpolate(scores, image.shape[-2:], mode="bilinear", align_corners=True)


def _branch(inputs: int, width: int, classes: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=dilation, dilation=dilation),
        nn.ReLU(),
        nn.Dropout(),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        nn.Dropout(),
        nn.Conv2d(width, classes, 1),
    )


def _initialize(scores: nn.ModuleList) -> None:
    for layer in scores:
        nn.init.normal_(cast(nn.Conv2d, layer).weight, std=0.01)
        nn.init.zeros_(cast(nn.Conv2d, layer).bias)  # type: ignore[arg-type]
