"""Distortions between the attacker and the network, as modules from images to images.

Images are `(N, 3, H, W)` of any dtype, 0 to 255. Every distortion returns uint8: rounded and clipped, as a file or the
bus of a camera stores them.
"""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from uap.universal.perturbation import Perturbation
from uap.utils.quantize import eight_bit


class Jpeg(nn.Module):
    """JPEG of a quality (1 to 100), as PIL writes it: chroma at half the resolution.

    Example:
        >>> Jpeg(95)(torch.full((1, 3, 8, 8), 9.0)).unique().tolist()
        [9]
    """

    def __init__(self, quality: int) -> None:
        """Set the quality."""
        super().__init__()
        self.quality = quality

    def forward(self, images: Tensor) -> Tensor:
        """Return the distorted images."""
        decoded = []
        for image in eight_bit(images.float()).permute(0, 2, 3, 1).cpu().numpy():
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=self.quality)
            with Image.open(file) as picture:
                decoded.append(np.asarray(picture))
        return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous().to(images.device)


class Resize(nn.Module):
    """Resizing by a factor below 1 and back, bilinearly with antialiasing; the small images have 8 bits too.

    Example:
        >>> Resize(0.5)(torch.full((1, 3, 8, 8), 9.0)).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, scale: float) -> None:
        """Set the factor."""
        super().__init__()
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        """Return the distorted images."""
        size = (images.shape[-2], images.shape[-1])
        small = (max(1, round(size[0] * self.scale)), max(1, round(size[1] * self.scale)))
        return _resize(_resize(images, small), size)


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return eight_bit(F.interpolate(images.float(), size, mode="bilinear", align_corners=False, antialias=True))


class GaussianNoise(nn.Module):
    """Normal noise of a standard deviation in grey levels, sampled for each value of each image in turn.

    The same seed gives the same noise for the same images in the same order, in batches of any size.

    Example:
        >>> image = torch.full((1, 3, 8, 8), 9.0)
        >>> torch.equal(GaussianNoise(4, seed=0)(image), GaussianNoise(4, seed=0)(image))
        True
    """

    def __init__(self, std: float, seed: int) -> None:
        """Set the standard deviation and the seed, 0 or more."""
        super().__init__()
        self.std = std
        self.random = np.random.default_rng(seed)

    def forward(self, images: Tensor) -> Tensor:
        """Return the distorted images."""
        noise = self.random.normal(0, self.std, tuple(images.shape)).astype(np.float32)
        return eight_bit(images + torch.from_numpy(noise).to(images.device))


class EightBit(nn.Module):
    """The 8-bit adversarial images of a perturbation."""

    def __init__(self, perturbation: Perturbation) -> None:
        """Take the perturbation."""
        super().__init__()
        self.perturbation = perturbation

    def forward(self, images: Tensor) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` uint8."""
        return self.perturbation.eight_bit(images)


def shifted(perturbation: Perturbation, pixels: int) -> Perturbation:
    """Return a perturbation shifted down and to the right, wrapping around the proto-tile."""
    moved = Perturbation((perturbation.proto.shape[-2], perturbation.proto.shape[-1]), perturbation.epsilon)
    moved.load_state_dict({"proto": perturbation.proto.detach().roll((pixels, pixels), (-2, -1))})
    moved.image_size = perturbation.image_size
    return moved.to(perturbation.proto.device)
