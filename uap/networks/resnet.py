"""Residual encoders (He et al., CVPR 2016, arXiv 1512.03385) of any width, from the blocks of torchvision."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.download import download
from uap.networks.pointwise import pointwise
from uap.utils.errors import InputError

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Number of residual blocks of each stage, for each depth."""

IMAGENET_WIDTH = 64
"""Channels of the first convolution in the published networks."""


class ResNetEncoder(nn.Module):
    """A ResNet without its classifier: maps images `(N, 3, H, W)` to the features of its four stages.

    The names of the parameters are those of torchvision, whose state dictionaries fit at a width of 64.

    Example:
        >>> import torch
        >>> [tuple(x.shape) for x in ResNetEncoder(18, width=4)(torch.zeros(1, 3, 64, 96))]
        [(1, 4, 16, 24), (1, 8, 8, 12), (1, 16, 4, 6), (1, 32, 2, 3)]
    """

    def __init__(self, depth: int = 101, width: int = IMAGENET_WIDTH, dilated: bool = False) -> None:
        """Build an untrained encoder.

        Args:
            depth: 18, 34, 50, 101 or 152.
            width: channels of the first convolution; all others are multiples of it.
            dilated: whether dilations of 2 and 4 replace the strides of the last two stages, whose features are then
                at 1/8 of the image size. Otherwise they are at 1/16 and 1/32.

        Raises:
            InputError: another depth, or a width below 1.
        """
        from torchvision.models.resnet import BasicBlock, Bottleneck  # the import of torchvision takes a second

        super().__init__()
        if depth not in BLOCKS or width < 1:
            raise InputError(
                f"The ResNet got depth={depth} and width={width}, expected a depth of {', '.join(map(str, BLOCKS))} "
                "and a width of 1 or more.",
                kind="out_of_range",
            )
        block = BasicBlock if depth < 50 else Bottleneck
        self.depth, self.width = depth, width
        self.channels = [block.expansion * width * 2**stage for stage in range(4)]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = residual_stages(block, width, width, depth, dilated)
        initialize_convolutions(self)

    def load_imagenet(self) -> None:
        """Load the weights of torchvision for ImageNet, which are downloaded at the first use.

        Raises:
            InputError: the width is not 64, or the download failed.
        """
        from torchvision.models import get_model_weights

        if self.width != IMAGENET_WIDTH:
            raise InputError(
                f"The ResNet got width={self.width} and imagenet=True, expected a width of 64.", kind="conflict"
            )
        state = download(get_model_weights(f"resnet{self.depth}").IMAGENET1K_V1)
        self.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})

    def forward(self, image: Tensor) -> Sequence[Tensor]:
        """Return the features of the four stages for normalized images `(N, 3, H, W)`."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(image))))
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def residual_stages(block: Any, inputs: int, width: int, depth: int, dilated: bool) -> list[nn.Sequential]:
    """Return the four stages of a ResNet.

    Args:
        block: the class of the residual blocks.
        inputs: channels of the input of the first stage.
        width: channels of the 3 x 3 convolutions of the first stage; each further stage has twice as many.
        depth: a key of `BLOCKS`.
        dilated: whether dilations of 2 and 4 replace the strides of the last two stages.
    """
    stages = []
    for i, count in enumerate(BLOCKS[depth]):
        stages.append(_stage(block, inputs, width * 2**i, count, stride=1 if i == 0 else 2))
        inputs = width * 2**i * block.expansion
    if dilated:
        _dilate(stages[2], 2)
        _dilate(stages[3], 4)
    return stages


def initialize_convolutions(network: nn.Module) -> None:
    """Set the weights of all convolutions at random (He et al., ICCV 2015, arXiv 1502.01852)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _stage(block: Any, inputs: int, planes: int, count: int, stride: int = 1) -> nn.Sequential:
    """Return a stage of `count` residual blocks, of which the first has the stride."""
    outputs = planes * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(pointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    rest = (block(outputs, planes) for _ in range(count - 1))
    return nn.Sequential(block(inputs, planes, stride, shortcut), *rest)


def _dilate(layers: nn.Module, dilation: int) -> None:
    """Remove the stride of a stage, and dilate its 3 x 3 convolutions."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size == (3, 3):
                layer.dilation = layer.padding = (dilation, dilation)
