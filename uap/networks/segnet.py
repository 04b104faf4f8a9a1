"""SegNet, which upsamples by the indices of its poolings (Badrinarayanan et al., TPAMI 2017, arXiv 1511.00561)."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.fcn8s import VGG16_CHANNELS, VGG16_CONVOLUTIONS


class SegNet(nn.Module):
    """SegNet: maps images `(N, 3, H, W)`, with H and W of 32 or more, to logits of that size.

    The encoder is VGG16 with batch norm. The decoder mirrors it: each value returns to the pixel from which the pooling
    took it, and convolutions fill the pixels between (sec. 3). Weights with the layer names of the authors' Caffe
    network (`conv1_1`, `conv1_1_bn`, to `conv1_1_D`) can be loaded.

    Example:
        >>> import torch
        >>> SegNet(classes=3, channels=(4, 4, 4, 4, 4)).eval()(torch.zeros(2, 3, 32, 48)).shape
        torch.Size([2, 3, 32, 48])
    """

    def __init__(self, classes: int = 19, channels: tuple[int, int, int, int, int] = VGG16_CHANNELS) -> None:
        """Build an untrained network.

        Args:
            classes: number of output channels.
            channels: channels of the five stages of the encoder, by default those of VGG16.
        """
        super().__init__()
        self.layers = nn.ModuleDict()
        for stage, (inputs, outputs) in enumerate(pairwise([3, *channels]), 1):
            count = VGG16_CONVOLUTIONS[stage - 1]
            for i in range(1, count + 1):
                self._add(f"conv{stage}_{i}", inputs if i == 1 else outputs, outputs)
                narrow = inputs if stage > 1 else classes
                self._add(f"conv{stage}_{i}_D", outputs, narrow if i == 1 else outputs)
        del self.layers["conv1_1_D_bn"]  # the last layer gives the logits

    def _add(self, name: str, inputs: int, outputs: int) -> None:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        self.layers[name] = convolution
        self.layers[f"{name}_bn"] = nn.BatchNorm2d(outputs)

    def published_names(self) -> dict[str, str]:
        """Return the name in this class of each layer of the authors' network: `conv1_1` is `layers.conv1_1`."""
        return {name: f"layers.{name}" for name in self.layers}

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        x, pooled = image, []
        for stage, count in enumerate(VGG16_CONVOLUTIONS, 1):
            for i in range(1, count + 1):
                x = self._apply_layer(x, f"conv{stage}_{i}")
            size = x.shape[-2:]
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            pooled.append((stage, count, size, indices))
        for stage, count, size, indices in reversed(pooled):
            x = F.max_unpool2d(x, indices, (2, 2), output_size=size)
            for i in range(count, 0, -1):
                x = self._apply_layer(x, f"conv{stage}_{i}_D")
        return x

    def _apply_layer(self, x: Tensor, name: str) -> Tensor:
        scores: Tensor = self.layers[name](x)
        return F.relu(self.layers[f"{name}_bn"](scores)) if f"{name}_bn" in self.layers else scores
