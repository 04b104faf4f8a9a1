"""JPEG compression."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from uap.defenses.base import Defense
from uap.utils.numbers import check_number
from uap.utils.quantize import eight_bit


class Jpeg(Defense):
    """JPEG compression as Pillow writes it, with chroma at half the resolution; the gradient is the identity's.

    Args:
        quality: 1 to 100.

    Raises:
        InputError: the quality is out of range.

    Example:
        >>> Jpeg(95)(torch.full((1, 3, 8, 8), 9.0)).unique().tolist()
        [9.0]
    """

    def __init__(self, quality: int) -> None:
        """Set the quality."""
        super().__init__()
        check_number("Jpeg", "quality", quality, 1, 100, whole=True)
        self.quality = quality

    def exact(self, images: Tensor) -> Tensor:
        """Return the decoded images."""
        decoded = []
        for image in eight_bit(images).permute(0, 2, 3, 1).cpu().numpy():
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=self.quality)
            with Image.open(file) as picture:
                decoded.append(np.asarray(picture))
        return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous().to(images.device)
