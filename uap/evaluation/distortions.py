"""Distortions of images between the attacker and the network, as modules.

They map images `(N, 3, H, W)` of any dtype, 0 to 255, to uint8 images, which are rounded and clipped as in a file.
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
    """JPEG compression by PIL with a quality from 1 to 100, with chroma at half the resolution.

    Example:
        >>> Jpeg(95)(torch.full((1, 3, 8, 8), 9.0)).unique().tolist()
        [9]
    """

    def __init__(self, quality: int) -> None:
        """Set the quality, 1 to 100."""
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
    """Bilinear resizing by a factor below 1 and back, with antialiasing. The small images are rounded to 8 bits.

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
    """Gaussian noise with a standard deviation in grey levels, independent for each value.

    The same seed gives the same noise for the same images in the same order, independent of the batch size.

    Example:
        >>> image = torch.full((1, 3, 8, 8), 9.0)
        >>> torch.equal(GaussianNoise(4, seed=0)(image), GaussianNoise(4, seed=0)(image))
        True
    """

    def __init__(self, std: float, seed: int) -> None:
        """Set the standard deviation in grey levels, and the seed, which is 0 or more."""
        super().__init__()
        self.std = std
        self.random = np.random.default_rng(seed)

    def forward(self, images: Tensor) -> Tensor:
        """Return the distorted images."""
        noise = self.random.normal(0, self.std, tuple(images.shape)).astype(np.float32)
        return eight_bit(images + torch.from_numpy(noise).to(images.device))


class EightBit(nn.Module):
    """Adds a perturbation and returns 8-bit adversarial images."""

    def __init__(self, perturbation: Perturbation) -> None:
        """Set the perturbation."""
        super().__init__()
        self.perturbation = perturbation

    def forward(self, images: Tensor) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` uint8."""
        return self.perturbation.eight_bit(images)


def shifted(perturbation: Perturbation, pixels: int) -> Perturbation:
    """Return a perturbation that is shifted down and to the right, cyclically within the proto-tile.

    Args:
        perturbation: the perturbation, which stays unchanged.
        pixels: the shift in both directions.
    """
    moved = Perturbation((perturbation.proto.shape[-2], perturbation.proto.shape[-1]), perturbation.epsilon)
    moved.load_state_dict({"proto": perturbation.proto.detach().roll((pixels, pixels), (-2, -1))})
    moved.image_size = perturbation.image_size
    return moved.to(perturbation.proto.device)
