"""What happens to an image between the attacker and the network: uint8 images (N, 3, H, W) RGB in, the same out.

Everything ends in 8 bits, rounded and clipped, as a file or a camera's bus would hold it.
"""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from uap.universal.perturbation import Perturbation
from uap.utils.quantize import eight_bit


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Return the images after JPEG of a quality (1 to 100), as PIL writes it: chroma at half the resolution."""
    decoded = []
    for image in images.permute(0, 2, 3, 1).cpu().numpy():
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        with Image.open(file) as picture:
            decoded.append(np.asarray(picture))
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous().to(images.device)


def resize_there_and_back(images: Tensor, scale: float) -> Tensor:
    """Return the images made smaller by a factor and large again, bilinearly; the small ones have 8 bits too.

    Dropped pixels are averaged over (antialiasing), as image programs do it.
    """
    size = (images.shape[-2], images.shape[-1])
    small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    return _resize(_resize(images, small), size)


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return eight_bit(F.interpolate(images.float(), size, mode="bilinear", align_corners=False, antialias=True))


def gaussian_noise(images: Tensor, std: float, index: Tensor, seed: int) -> Tensor:
    """Return the images plus normal noise, drawn anew for each value.

    Args:
        images: uint8 (N, 3, H, W).
        std: in grey levels.
        index: (N,), the number of each image: with the seed it decides the noise, whatever the batches are.
        seed: 0 or more.
    """
    noise = [np.random.default_rng([seed, i]).normal(0, std, images.shape[1:]) for i in index.tolist()]
    return eight_bit(images + torch.from_numpy(np.stack(noise).astype(np.float32)).to(images.device))


def shifted(perturbation: Perturbation, pixels: int) -> Perturbation:
    """Return a perturbation moved down and to the right, rolled: what leaves the proto-tile comes in opposite."""
    moved = Perturbation((perturbation.proto.shape[-2], perturbation.proto.shape[-1]), perturbation.epsilon)
    moved.load_state_dict({"proto": perturbation.proto.detach().roll((pixels, pixels), (-2, -1))})
    return moved.to(perturbation.proto.device)
