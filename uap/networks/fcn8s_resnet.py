"""FCN-8s on a residual encoder, a network of Arnab et al. (CVPR 2018, arXiv 1711.09856)."""

import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks.fcn8s import bilinear_upsampling
from uap.networks.resnet import IMAGENET_WIDTH, ResNetEncoder
from uap.utils.errors import InputError


class FCN8sResNet(nn.Module):
    """FCN-8s on a ResNet: maps images `(N, 3, H, W)`, with H and W multiples of 32 / `enlarge`, to logits of that size.

    Scores of the stages at 1/32, 1/16 and 1/8 of the image size are upsampled and added, as in FCN-8s on VGG16 (Long,
    Shelhamer and Darrell, CVPR 2015, arXiv 1411.4038). The encoder has the names of torchvision's ResNet under
    `encoder`. It has no fully connected layers, so that the scores at 1/32 directly follow the last stage.

    Example:
        >>> import torch
        >>> FCN8sResNet(classes=3, depth=18, width=4)(torch.zeros(2, 3, 64, 96)).shape
        torch.Size([2, 3, 64, 96])
    """

    def __init__(
        self,
        classes: int = 19,
        depth: int = 101,
        width: int = IMAGENET_WIDTH,
        enlarge: int = 1,
        imagenet: bool = False,
    ) -> None:
        """Build an untrained network, or a network whose encoder is pretrained on ImageNet.

        Args:
            classes: number of output channels.
            depth: depth of the ResNet: 18, 34, 50, 101 or 152.
            width: channels of the first convolution of the ResNet, 64 in the published ones.
            enlarge: factor 1, 2 or 4 by which images are first enlarged; the logits are upsampled by the same factor
                less. Use it for small images, in which features at 1/8 of the size are too coarse for narrow objects.
            imagenet: whether to start from the ResNet of torchvision, which is downloaded at the first use. This needs
                a width of 64.

        Raises:
            InputError: an argument has another value, or the weights for ImageNet do not fit the width or cannot be
                downloaded.
        """
        super().__init__()
        if enlarge not in (1, 2, 4):
            raise InputError(
                f"FCN8sResNet got enlarge={enlarge}, expected 1, 2 or 4.", setting="enlarge", kind="out_of_range"
            )
        self.encoder = ResNetEncoder(depth, width)
        _, eighth, sixteenth, last = self.encoder.channels
        self.score_32 = _score(last, classes)
        self.score_16 = _score(sixteenth, classes)
        self.score_8 = _score(eighth, classes)
        self.up_32 = bilinear_upsampling(classes, 2)
        self.up_16 = bilinear_upsampling(classes, 2)
        self.up_8 = bilinear_upsampling(classes, 8 // enlarge)
        self.enlarge = enlarge
        if imagenet:
            self.encoder.load_imagenet()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits `(N, classes, H, W)` for normalized images `(N, 3, H, W)`."""
        if self.enlarge > 1:
            image = F.interpolate(image, scale_factor=float(self.enlarge), mode="bilinear", align_corners=False)
        _, eighth, sixteenth, last = self.encoder(image)
        scores = self.up_32(self.score_32(last)) + self.score_16(sixteenth)
        scores = self.up_16(scores) + self.score_8(eighth)
        logits: Tensor = self.up_8(scores)
        return logits


def _score(inputs: int, classes: int) -> nn.Conv2d:
    """Return a 1 x 1 convolution whose scores are 0 before the training."""
    layer = nn.Conv2d(inputs, classes, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
