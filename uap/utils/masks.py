"""Masks: class ids of pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize class ids uint8 `(H, W)` to `size` = (height, width) by the nearest neighbor, with PIL."""
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
