"""ENet, a small and fast segmentation network (Paszke et al., arXiv 1606.02147)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.utils.errors import InputError

Activation = type[nn.PReLU] | type[nn.ReLU]

DEEP_BOTTLENECKS = (
    ("regular", 1), ("dilated", 2), ("asymmetric", 1), ("dilated", 4),
    ("regular", 1), ("dilated", 8), ("asymmetric", 1), ("dilated", 16),
)  # fmt: skip
"""Kind and dilation of the bottlenecks of stages 2 and 3 (table 1)."""


def _conv(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int],
    activation: Activation | None,
    stride: int = 1,
    dilation: int = 1,
) -> list[nn.Module]:
    padding = (dilation * ((kernel[0] - 1) // 2), dilation * ((kernel[1] - 1) // 2))
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
    return [conv, nn.BatchNorm2d(outputs), *([activation()] if activation else [])]


class InitialBlock(nn.Module):
    """A convolution with 13 channels, concatenated with the max-pooled image, at half the size (figure 2a)."""

    def __init__(self) -> None:
        """Build for RGB images."""
        super().__init__()
        self.main_branch = nn.Conv2d(3, 13, 3, stride=2, padding=1, bias=False)
        self.ext_branch = nn.MaxPool2d(3, stride=2, padding=1)
        self.batch_norm = nn.BatchNorm2d(16)
        self.out_activation = nn.PReLU()

    def forward(self, image: Tensor) -> Tensor:
        """Return features `(N, 16, H/2, W/2)` of images `(N, 3, H, W)`."""
        joined = torch.cat([self.main_branch(image), self.ext_branch(image)], dim=1)
        return cast(Tensor, self.out_activation(self.batch_norm(joined)))


class Extension(nn.Module):
    """The extension branch of a bottleneck: reduce to a quarter of the channels, convolve, expand (figure 2b)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        dropout: float,
        middle: list[nn.Module],
        activation: Activation = nn.PReLU,
        stride: int = 1,
    ) -> None:
        """Build from `inputs` to `outputs` channels around the layers `middle` of inputs / 4 channels."""
        super().__init__()
        width = inputs // 4
        self.ext_conv1 = nn.Sequential(*_conv(inputs, width, (stride, stride), activation, stride))
        self.ext_conv2 = nn.Sequential(*middle)
        self.ext_conv3 = nn.Sequential(*_conv(width, outputs, (1, 1), activation))
        self.ext_regul = nn.Dropout2d(dropout)
        self.out_activation = activation()

    def extension(self, x: Tensor) -> Tensor:
        """Return the features that are added to the main branch."""
        return cast(Tensor, self.ext_regul(self.ext_conv3(self.ext_conv2(self.ext_conv1(x)))))


class Bottleneck(Extension):
    """A bottleneck at constant size; its convolution is regular, dilated or asymmetric (5 x 1, then 1 x 5)."""

    def __init__(
        self,
        channels: int,
        dropout: float,
        kind: str = "regular",
        dilation: int = 1,
        activation: Activation = nn.PReLU,
    ) -> None:
        """Build for `channels` channels."""
        width = channels // 4
        kernels = [(5, 1), (1, 5)] if kind == "asymmetric" else [(3, 3)]
        middle = [layer for kernel in kernels for layer in _conv(width, width, kernel, activation, dilation=dilation)]
        super().__init__(channels, channels, dropout, middle, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        return cast(Tensor, self.out_activation(x + self.extension(x)))


class Downsampler(Extension):
    """A bottleneck that halves the size; the main branch is max-pooled and padded with zero channels."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        """Build from `inputs` to `outputs` channels."""
        width = inputs // 4
        super().__init__(inputs, outputs, dropout, _conv(width, width, (3, 3), nn.PReLU), stride=2)
        self.extra = outputs - inputs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at half the input's size, and the indices of the pooled maxima."""
        pooled, positions = F.max_pool2d(x, 2, return_indices=True)
        main = F.pad(pooled, (0, 0, 0, 0, 0, self.extra))
        return self.out_activation(main + self.extension(x)), positions


class Upsampler(nn.Module):
    """A bottleneck that doubles the size; the main branch is max-unpooled with the indices of a `Downsampler`."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        """Build from `inputs` to `outputs` channels."""
        super().__init__()
        width = inputs // 4
        self.main_conv1 = nn.Sequential(*_conv(inputs, outputs, (1, 1), None))
        self.ext_conv1 = nn.Sequential(*_conv(inputs, width, (1, 1), nn.ReLU))
        self.ext_tconv1 = nn.ConvTranspose2d(width, width, 2, stride=2, bias=False)
        self.ext_tconv1_bnorm = nn.BatchNorm2d(width)
        self.ext_conv2 = nn.Sequential(*_conv(width, outputs, (1, 1), None))
        self.ext_regul = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Return features at twice the input's size, for the pooling indices of a `Downsampler`."""
        main = F.max_unpool2d(self.main_conv1(x), positions, (2, 2))
        doubled = F.relu(self.ext_tconv1_bnorm(self.ext_tconv1(self.ext_conv1(x))))
        return F.relu(main + self.ext_regul(self.ext_conv2(doubled)))


class ENet(nn.Module):
    """ENet (table 1): maps images `(N, 3, H, W)`, with H and W multiples of 8, to logits of that size.

    The state dictionaries published at github.com/davidtvs/PyTorch-ENet for CamVid and Cityscapes since August 2019 can
    be loaded. Older files of that repository share activation parameters inside a block and are refused. The network
    follows the published files: each PReLU of the encoder has one parameter, and the decoder uses ReLU. In the paper,
    a PReLU has one parameter per channel (sec. 4).

    Example:
        >>> import torch
        >>> ENet(classes=11).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    def __init__(self, classes: int = 19) -> None:
        """Build an untrained network with `classes` output channels."""
        super().__init__()
        # `forward` calls the blocks in this order. They have the published names.
        self.initial_block = InitialBlock()
        self.downsample1_0 = Downsampler(16, 64, dropout=0.01)
        for i in range(1, 5):
            self.add_module(f"regular1_{i}", Bottleneck(64, dropout=0.01))
        self.downsample2_0 = Downsampler(64, 128, dropout=0.1)
        for stage, first in ((2, 1), (3, 0)):
            for i, (kind, dilation) in enumerate(DEEP_BOTTLENECKS, first):
                self.add_module(f"{kind}{stage}_{i}", Bottleneck(128, 0.1, kind, dilation))
        self.upsample4_0 = Upsampler(128, 64, dropout=0.1)
        for i in range(1, 3):
            self.add_module(f"regular4_{i}", Bottleneck(64, dropout=0.1, activation=nn.ReLU))
        self.upsample5_0 = Upsampler(64, 16, dropout=0.1)
        self.regular5_1 = Bottleneck(16, dropout=0.1, activation=nn.ReLU)
        self.transposed_conv = nn.ConvTranspose2d(16, classes, 3, stride=2, padding=1, output_padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`.

        Raises:
            InputError: H or W is not a multiple of 8.
        """
        height, width = image.shape[-2:]
        if height % 8 or width % 8:  # unpooling would silently misplace the maxima
            raise InputError(
                f"ENet got images of {height} x {width}, expected multiples of 8. Set victim.size_multiple to 8.",
                kind="wrong_shape",
            )
        x, pooled = image, []
        for block in self.children():
            if isinstance(block, Downsampler):
                x, positions = block(x)
                pooled.append(positions)
            elif isinstance(block, Upsampler):
                x = block(x, pooled.pop())  # the last pooling is undone first
            else:
                x = block(x)
        return x
