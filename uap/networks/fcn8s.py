"""FCN-8s on VGG16, the network that Metzen et al. attacked (Long, Shelhamer and Darrell, CVPR 2015)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.download import download
from uap.utils.errors import InputError

VGG16_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the five stages of VGG16 (Simonyan and Zisserman, ICLR 2015, table 1, column D)."""

VGG16_CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Convolutions of each stage, which a pooling ends."""


class FCN8s(nn.Module):
    """FCN-8s: normalized images `(N, 3, H, W)`, H and W multiples of 32 / `enlarge`, to logits of that size.

    Loads the state dictionaries of github.com/wkentaro/pytorch-fcn (class FCN8s, `conv1_1` to `upscore_pool4`), and
    those of this class. The published network borders the image with 100 pixels of zeros and crops its scores; here
    every layer keeps its size by its own padding. Away from the border that is the same network, with its poolings
    shifted by 3 pixels.
    """

    def __init__(
        self,
        classes: int = 19,
        channels: tuple[int, int, int, int, int] = VGG16_CHANNELS,
        head_channels: int = 4096,
        batch_norm: bool = False,
        enlarge: int = 1,
        imagenet: bool = False,
    ) -> None:
        """Build an untrained network, or one whose encoder knows ImageNet.

        Args:
            classes: number of output channels.
            channels: of the encoder's five stages; VGG16's by default, fewer for a slim network.
            head_channels: of `fc6` and `fc7`.
            batch_norm: normalize after each convolution of the encoder, as torchvision's `vgg16_bn` does.
            enlarge: images are first enlarged by this factor, 1, 2 or 4, and scores upsampled by as much less; for
                small images, on which features at 1/8 are too coarse for what is a few pixels wide.
            imagenet: start from torchvision's VGG16, which is downloaded at its first use; needs VGG16's channels.

        Raises:
            InputError: `enlarge` is none of these, ImageNet's weights do not fit the channels or cannot be had.
        """
        from torchvision.models.vgg import make_layers  # here, for torchvision takes a second to import

        super().__init__()
        if enlarge not in (1, 2, 4):
            raise InputError(f"FCN8s got enlarge={enlarge}, expected 1, 2 or 4.")
        if imagenet and tuple(channels) != VGG16_CHANNELS:
            raise InputError(
                f"FCN8s got channels={channels} and imagenet=True, expected {VGG16_CHANNELS}, those of the VGG16 that "
                "learned ImageNet."
            )
        plan: list[str | int] = []
        for width, count in zip(channels, VGG16_CONVOLUTIONS, strict=True):
            plan += [width] * count + ["M"]
        self.features = make_layers(plan, batch_norm)
        self.fc6 = nn.Conv2d(channels[-1], head_channels, 7, padding=3)
        self.fc7 = nn.Conv2d(head_channels, head_channels, 1)
        self.score_fr = nn.Conv2d(head_channels, classes, 1)
        self.score_pool4 = nn.Conv2d(channels[3], classes, 1)
        self.score_pool3 = nn.Conv2d(channels[2], classes, 1)
        self.upscore2 = _bilinear_upsampling(classes, 2)
        self.upscore_pool4 = _bilinear_upsampling(classes, 2)
        self.upscore8 = _bilinear_upsampling(classes, 8 // enlarge)
        self.enlarge = enlarge
        ends = [i + 1 for i, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        self.pool3, self.pool4, self.pool5 = (slice(a, b) for a, b in pairwise([0, *ends[2:]]))
        self._initialize()
        if imagenet:
            self._load_imagenet(batch_norm)

    def _initialize(self) -> None:
        for layer in [*self.features, self.fc6, self.fc7]:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for score in (self.score_fr, self.score_pool4, self.score_pool3):  # nothing is predicted before training
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)  # type: ignore[arg-type]

    def _load_imagenet(self, batch_norm: bool) -> None:
        from torchvision.models import VGG16_BN_Weights, VGG16_Weights

        weights = VGG16_BN_Weights.IMAGENET1K_V1 if batch_norm else VGG16_Weights.IMAGENET1K_V1
        state = {name: value for name, value in download(weights).items() if name.startswith("features.")}
        self.load_state_dict(state, strict=False)

    def published_names(self) -> dict[str, str]:
        """Return the name here of each encoder layer of pytorch-fcn: `conv1_1` is `features.0`."""
        names = (f"conv{stage}_{i}" for stage, n in enumerate(VGG16_CONVOLUTIONS, 1) for i in range(1, n + 1))
        own = (f"features.{i}" for i, layer in enumerate(self.features) if isinstance(layer, nn.Conv2d))
        return dict(zip(names, own, strict=True))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        if self.enlarge > 1:
            image = F.interpolate(image, scale_factor=float(self.enlarge), mode="bilinear", align_corners=False)
        pool3 = self.features[self.pool3](image)
        pool4 = self.features[self.pool4](pool3)
        x = F.dropout2d(F.relu(self.fc6(self.features[self.pool5](pool4))), training=self.training)
        x = F.dropout2d(F.relu(self.fc7(x)), training=self.training)
        sixteenth = self.upscore2(self.score_fr(x)) + self.score_pool4(pool4)
        eighth = self.upscore_pool4(sixteenth) + self.score_pool3(pool3)
        logits: Tensor = self.upscore8(eighth)
        return logits


def _bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that starts as bilinear interpolation by `factor` (sec. 3.3)."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, padding=factor // 2, bias=False)
    ramp = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = ramp[:, None] * ramp
    return layer
