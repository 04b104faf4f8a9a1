"""FCN-8s on VGG16 (Long, Shelhamer and Darrell, CVPR 2015), the network that Metzen et al. attacked."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.download import download
from uap.utils.errors import InputError

VGG16_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the five stages of VGG16 (Simonyan and Zisserman, ICLR 2015, table 1, column D)."""

VGG16_CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Number of convolutions of each stage. A pooling follows each stage."""


class FCN8s(nn.Module):
    """FCN-8s: maps images `(N, 3, H, W)`, with H and W multiples of 32 / `enlarge`, to logits of that size.

    The state dictionaries of github.com/wkentaro/pytorch-fcn (class FCN8s, `conv1_1` to `upscore_pool4`) can be loaded.
    The published network pads the image with 100 pixels of zeros and crops the logits. Here, each layer pads its own
    input and keeps its size. Away from the border, both networks agree, except that the poolings are shifted by 3
    pixels.

    Example:
        >>> import torch
        >>> FCN8s(11, channels=(4, 4, 8, 8, 8), head_channels=16).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 11, 64, 96])
    """

    unused_weights = ("crfrnn.",)
    """The matrices of the dense CRF behind the network in files of CRF-RNN, which `uap.victims.DenseCRF` loads."""

    def __init__(
        self,
        classes: int = 19,
        channels: tuple[int, int, int, int, int] = VGG16_CHANNELS,
        head_channels: int = 4096,
        batch_norm: bool = False,
        enlarge: int = 1,
        imagenet: bool = False,
        upscore2_bias: bool = False,
    ) -> None:
        """Build an untrained network, or a network whose encoder is pretrained on ImageNet.

        Args:
            classes: number of output channels.
            channels: channels of the five stages of the encoder, by default those of VGG16.
            head_channels: channels of `fc6` and `fc7`.
            batch_norm: whether batch norm follows each convolution of the encoder, as in `vgg16_bn` of torchvision.
            enlarge: factor 1, 2 or 4 by which images are first enlarged; the logits are upsampled by the same factor
                less. Use it for small images, in which features at 1/8 of the size are too coarse for narrow objects.
            imagenet: whether to start from VGG16 of torchvision, which is downloaded at the first use. This needs the
                channels of VGG16.
            upscore2_bias: whether `upscore2` has a bias, as in github.com/sadeepj/crfasrnn_pytorch.

        Raises:
            InputError: `enlarge` has another value, or the weights for ImageNet do not fit the channels or cannot be
                downloaded.
        """
        from torchvision.models.vgg import make_layers  # the import of torchvision takes a second

        super().__init__()
        if enlarge not in (1, 2, 4):
            raise InputError(
                f"FCN8s got enlarge={enlarge}, expected 1, 2 or 4.", setting="enlarge", kind="out_of_range"
            )
        if imagenet and tuple(channels) != VGG16_CHANNELS:
            raise InputError(
                f"FCN8s got channels={channels} and imagenet=True, expected {VGG16_CHANNELS}, the channels of "
                "VGG16 on ImageNet.",
                kind="conflict",
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
        self.upscore2 = bilinear_upsampling(classes, 2, upscore2_bias)
        self.upscore_pool4 = bilinear_upsampling(classes, 2)
        self.upscore8 = bilinear_upsampling(classes, 8 // enlarge)
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
        for score in (self.score_fr, self.score_pool4, self.score_pool3):  # all logits are 0 before the training
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)  # type: ignore[arg-type]

    def _load_imagenet(self, batch_norm: bool) -> None:
        from torchvision.models import VGG16_BN_Weights, VGG16_Weights

        weights = VGG16_BN_Weights.IMAGENET1K_V1 if batch_norm else VGG16_Weights.IMAGENET1K_V1
        state = {name: value for name, value in download(weights).items() if name.startswith("features.")}
        self.load_state_dict(state, strict=False)

    def published_names(self) -> dict[str, str]:
        """Return the name in this class of each encoder layer of pytorch-fcn: `conv1_1` is `features.0`."""
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


def bilinear_upsampling(channels: int, factor: int, bias: bool = False) -> nn.ConvTranspose2d:
    """Return a transposed convolution that is initialized as bilinear interpolation by `factor` (sec. 3.3)."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, padding=factor // 2, bias=bias)
    ramp = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = ramp[:, None] * ramp
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
