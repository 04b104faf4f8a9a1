"""FastestDet, a detection network of one stage without anchors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    padding = size // 2
    return [nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(outputs)]


class FastestDet(nn.Module):
    """FastestDet (github.com/dog-qiuqiu/FastestDet): class, objectness and box of each cell of an image.

    A ShuffleNetV2 (Ma et al., ECCV 2018, arXiv 1807.11164) gives features at strides 8, 16 and 32; they are joined at
    stride 16 and filtered by depthwise convolutions of three sizes. The published weights for COCO can be loaded.
    Images are 0 to 1 in the order BGR, and have sides that are multiples of 32.

    Example:
        >>> objects, boxes, classes = FastestDet(classes=80).eval()(torch.zeros(1, 3, 352, 352))
        >>> objects.shape, boxes.shape, classes.shape
        (torch.Size([1, 1, 22, 22]), torch.Size([1, 4, 22, 22]), torch.Size([1, 80, 22, 22]))
    """

    def __init__(self, classes: int = 80) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.backbone = _ShuffleNet()
        self.SPP = _Filters(336, 96)
        self.detect_head = _Head(96, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits of objectness `(N, 1, h, w)`, boxes `(N, 4, h, w)`, and class logits `(N, C, h, w)`.

        The boxes are raw: see `decode`. Sigmoid and softmax, which the published network applies, are left out.
        """
        fine, middle, coarse = self.backbone(images)
        fine = F.avg_pool2d(fine, 3, stride=2, padding=1)
        coarse = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        found: tuple[Tensor, Tensor, Tensor] = self.detect_head(self.SPP(torch.cat([fine, middle, coarse], 1)))
        return found


def decode(raw: Tensor) -> Tensor:
    """Return the boxes `(N, h * w, 4)` of the cells for raw boxes `(N, 4, h, w)`, in shares of width and height.

    The tanh of the first two numbers is the position of the center from the corner of the cell, in cells; the sigmoid
    of the other two is the size.

    Example:
        >>> decode(torch.zeros(1, 4, 2, 2))[0, 3]  # the center is the corner of the last cell
        tensor([0.2500, 0.2500, 0.7500, 0.7500])
    """
    rows, columns = raw.shape[2:]
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corner = torch.stack([x, y]).to(raw.device)
    center = (raw[:, :2].tanh() + corner) / torch.tensor([columns, rows], device=raw.device)[:, None, None]
    half = raw[:, 2:].sigmoid() / 2
    return torch.cat([center - half, center + half], 1).flatten(2).transpose(1, 2)


class _Unit(nn.Module):
    """The unit of ShuffleNetV2: with stride 2 both branches see all channels, else half of them pass unchanged."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build the branches."""
        super().__init__()
        width = outputs // 2
        self.branch_main = nn.Sequential(
            *_convolution(inputs, width), nn.ReLU(), *_convolution(width, width, 3, stride, width),
            *_convolution(width, outputs - inputs), nn.ReLU(),
        )  # fmt: skip
        if stride == 2:
            self.branch_proj = nn.Sequential(
                *_convolution(inputs, inputs, 3, stride, inputs), *_convolution(inputs, inputs), nn.ReLU()
            )
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined channels of the branches."""
        kept, changed = (self.branch_proj(x), x) if self.stride == 2 else (x[:, ::2], x[:, 1::2])
        return torch.cat([kept, self.branch_main(changed)], 1)


class _ShuffleNet(nn.Module):
    """ShuffleNetV2 with 24, 48, 96 and 192 channels."""

    def __init__(self) -> None:
        """Build the stages."""
        super().__init__()
        self.first_conv = nn.Sequential(*_convolution(3, 24, 3, 2), nn.ReLU())
        self.stage2 = self._stage(24, 4)
        self.stage3 = self._stage(48, 8)
        self.stage4 = self._stage(96, 4)

    @staticmethod
    def _stage(inputs: int, units: int) -> nn.Sequential:
        rest = [_Unit(inputs, 2 * inputs, stride=1) for _ in range(units - 1)]
        return nn.Sequential(_Unit(inputs, 2 * inputs, stride=2), *rest)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at strides 8, 16 and 32."""
        x = F.max_pool2d(self.first_conv(x), 3, stride=2, padding=1)
        fine = self.stage2(x)
        middle = self.stage3(fine)
        return fine, middle, self.stage4(middle)


class _Pointwise(nn.Module):
    """A convolution of 1 x 1 with normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build the layers."""
        super().__init__()
        self.conv1x1 = nn.Sequential(*_convolution(inputs, outputs), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        filtered: Tensor = self.conv1x1(x)
        return filtered


class _Filters(nn.Module):
    """One, two and three depthwise convolutions of 5 x 5 side by side, with a residual connection."""

    def __init__(self, inputs: int, width: int) -> None:
        """Build the branches."""
        super().__init__()
        self.Conv1x1 = _Pointwise(inputs, width)
        self.S1, self.S2, self.S3 = (self._branch(width, depth) for depth in (1, 2, 3))
        self.output = nn.Sequential(*_convolution(3 * width, width))

    @staticmethod
    def _branch(width: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*(m for _ in range(depth) for m in (*_convolution(width, width, 5, 1, width), nn.ReLU())))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        x = self.Conv1x1(x)
        return F.relu(x + self.output(torch.cat([self.S1(x), self.S2(x), self.S3(x)], 1)))


class _Layers(nn.Module):
    """A depthwise convolution of 5 x 5 and one of 1 x 1."""

    def __init__(self, width: int, outputs: int) -> None:
        """Build the layers."""
        super().__init__()
        self.conv5x5 = nn.Sequential(*_convolution(width, width, 5, 1, width), nn.ReLU(), *_convolution(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        outputs: Tensor = self.conv5x5(x)
        return outputs


class _Head(nn.Module):
    """Objectness, box and class of each cell."""

    def __init__(self, width: int, classes: int) -> None:
        """Build the layers."""
        super().__init__()
        self.conv1x1 = _Pointwise(width, width)
        self.obj_layers = _Layers(width, 1)
        self.reg_layers = _Layers(width, 4)
        self.cls_layers = _Layers(width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits of objectness, the raw boxes, and the class logits."""
        x = self.conv1x1(x)
        return self.obj_layers(x), self.reg_layers(x), self.cls_layers(x)
