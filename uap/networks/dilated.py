"""The dilated network of Yu and Koltun (ICLR 2016, arXiv 1511.07122): a front end on VGG16, and a context module."""

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.fcn8s import VGG16_CHANNELS, VGG16_CONVOLUTIONS
from uap.utils.errors import InputError

CONTEXT_DILATIONS = (1, 1, 2, 4, 8, 16, 32, 64)
"""Dilations of the context module that was published for Cityscapes. That for Pascal VOC ends at 16."""


class ContextModule(nn.Module):
    """Context module: 3 x 3 convolutions with growing dilation, a plain one, and a 1 x 1 convolution (table 1).

    It maps scores `(N, classes, H, W)` to scores of that shape, and starts as the identity of positive scores (eq. 4
    and 5).

    Example:
        >>> scores = torch.rand(1, 3, 8, 12)
        >>> torch.equal(ContextModule(3)(scores), scores)
        True
    """

    def __init__(self, classes: int, dilations: tuple[int, ...] = CONTEXT_DILATIONS, large: bool = False) -> None:
        """Build a module that returns its input.

        Args:
            classes: channels of the scores.
            dilations: dilation of each of the first layers.
            large: whether the channels grow with the dilation, to 2 x dilation x classes, as in the network published
                for Pascal VOC. Then noise in the initial weights makes the copies of a channel differ.
        """
        super().__init__()
        widths = [2 * dilation * classes if large else classes for dilation in dilations]
        channels = [classes, *widths, widths[-1]]
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
            for (inputs, outputs), dilation in zip(pairwise(channels), (*dilations, 1), strict=True)
        )
        self.final = nn.Conv2d(widths[-1], classes, 1)
        for layer in [*self.layers, self.final]:
            _initialize_identity(cast(nn.Conv2d, layer), classes, noise=1e-3 if large else 0.0)

    def forward(self, scores: Tensor) -> Tensor:
        """Return scores of the shape of the input."""
        for layer in self.layers:
            scores = F.relu(layer(scores))
        return cast(Tensor, self.final(scores))


@torch.no_grad()
def _initialize_identity(layer: nn.Conv2d, classes: int, noise: float) -> None:
    """Make a convolution pass each class on; all channels of a class share its value (eq. 5)."""
    share = classes / layer.out_channels
    nn.init.normal_(layer.weight, std=noise * share)
    outputs, inputs = (torch.arange(n) * classes // n for n in (layer.out_channels, layer.in_channels))
    middle = layer.kernel_size[0] // 2
    layer.weight[..., middle, middle] += share * (outputs[:, None] == inputs)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


class DilatedNet(nn.Module):
    """Front end and context module: maps images `(N, 3, H, W)`, with sides multiples of 8 / `enlarge`, to their logits.

    The front end is VGG16 without its last two poolings; dilations of 2 and 4 replace them (sec. 4). Weights with the
    layer names of the published Caffe networks (github.com/fyu/dilation, `dilation8_pascal_voc` and
    `dilation10_cityscapes`) can be loaded. These networks take images with a border of 186 reflected pixels, and their
    front end does not pad. Here, each layer pads its input with zeros. Away from the border, both agree.

    Example:
        >>> net = DilatedNet(classes=3, channels=(4, 4, 4, 4, 4), head_channels=4, context=True)
        >>> net(torch.zeros(2, 3, 16, 24)).shape
        torch.Size([2, 3, 16, 24])
    """

    unused_weights = ("upsample.", "ctx_upsample.")
    """The published bilinear upsampling, which is not trained."""

    def __init__(
        self,
        classes: int = 19,
        channels: tuple[int, int, int, int, int] = VGG16_CHANNELS,
        head_channels: int = 4096,
        batch_norm: bool = False,
        context: bool = False,
        context_dilations: tuple[int, ...] = CONTEXT_DILATIONS,
        context_large: bool = False,
        enlarge: int = 1,
        dropout: float = 0.5,
    ) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            channels: channels of the five stages of the encoder, by default those of VGG16.
            head_channels: channels of `fc6` and `fc7`.
            batch_norm: whether batch norm follows each convolution of the front end but the last, which the published
                networks do not have.
            context: whether the context module follows the front end.
            context_dilations: dilations of its layers; (1, 1, 2, 4, 8, 16) in the network for Pascal VOC.
            context_large: whether its channels grow with the dilation, as in the network for Pascal VOC.
            enlarge: factor 1, 2 or 4 by which images are first enlarged; the logits are upsampled by the same factor
                less. Use it for small images, in which features at 1/8 of the size are too coarse for narrow objects.
            dropout: share of the values of `fc6` and `fc7` that are dropped in the training; 0 for slim networks.

        Raises:
            InputError: `enlarge` or `dropout` has another value, or a dilation is below 1.
        """
        from torchvision.models.vgg import make_layers  # the import of torchvision takes a second

        super().__init__()
        if enlarge not in (1, 2, 4):
            raise InputError(
                f"DilatedNet got enlarge={enlarge}, expected 1, 2 or 4.", setting="enlarge", kind="out_of_range"
            )
        if not 0 <= dropout < 1:
            raise InputError(
                f"DilatedNet got dropout={dropout}, expected a number of 0 or more, below 1.",
                setting="dropout",
                kind="out_of_range",
            )
        if not context_dilations or min(context_dilations) < 1:
            raise InputError(
                f"DilatedNet got context_dilations={context_dilations}, expected numbers of 1 or more.",
                setting="context_dilations",
                kind="out_of_range",
            )
        plan: list[str | int] = []
        for stage, (width, count) in enumerate(zip(channels, VGG16_CONVOLUTIONS, strict=True)):
            plan += [width] * count + ["M"] * (stage < 3)
        self.features = make_layers(plan, batch_norm)
        for layer in self._convolutions()[-VGG16_CONVOLUTIONS[-1] :]:
            layer.dilation = layer.padding = (2, 2)
        self.fc6 = nn.Conv2d(channels[-1], head_channels, 7, padding=12, dilation=4)
        self.fc7 = nn.Conv2d(head_channels, head_channels, 1)
        self.final = nn.Conv2d(head_channels, classes, 1)
        self.fc6_bn, self.fc7_bn = (nn.BatchNorm2d(head_channels) if batch_norm else nn.Identity() for _ in range(2))
        self.context = ContextModule(classes, context_dilations, context_large) if context else nn.Identity()
        self.enlarge = enlarge
        self.dropout = dropout
        self._initialize()

    def _convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.features if isinstance(layer, nn.Conv2d)]

    def _initialize(self) -> None:
        for layer in [*self._convolutions(), self.fc6, self.fc7]:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.final.weight, std=0.001)
        nn.init.ones_(self.final.bias)  # type: ignore[arg-type]  # no score is lost in the context module's first ReLU

    def published_names(self) -> dict[str, str]:
        """Return the name in this class of each layer of the published networks: `conv1_1` is `features.0`."""
        names = [f"conv{stage}_{i}" for stage, n in enumerate(VGG16_CONVOLUTIONS, 1) for i in range(1, n + 1)]
        own = [f"features.{i}" for i, layer in enumerate(self.features) if isinstance(layer, nn.Conv2d)]
        found = dict(zip(names, own, strict=True)) | {"fc-final": "final"}
        if isinstance(self.context, ContextModule):
            last = len(self.context.layers) - 1
            rest = [f"conv{i}_1" for i in range(2, last)]
            for i, name in enumerate(["conv1_1", "conv1_2", *rest, "fc1"]):
                found |= {f"{prefix}_{name}": f"context.layers.{i}" for prefix in ("ct", "ctx")}
            found |= {f"{prefix}_final": "context.final" for prefix in ("ct", "ctx")}
        return found

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        size = image.shape[-2:]
        if self.enlarge > 1:
            image = F.interpolate(image, scale_factor=float(self.enlarge), mode="bilinear", align_corners=False)
        x = F.dropout(F.relu(self.fc6_bn(self.fc6(self.features(image)))), self.dropout, self.training)
        x = F.dropout(F.relu(self.fc7_bn(self.fc7(x))), self.dropout, self.training)
        return F.interpolate(self.context(self.final(x)), size, mode="bilinear", align_corners=False)
