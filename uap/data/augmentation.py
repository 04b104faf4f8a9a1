"""The augmentation that victims are trained with; the only file that imports albumentations."""

import os

import cv2
import numpy as np
from numpy.typing import NDArray


class Augmentation:
    """Flip, zoom, crop and light for training a victim; the same (seed, epoch, index) gives the same result."""

    def __init__(self, crop: tuple[int, int], zoom: tuple[float, float] = (0.9, 1.25)) -> None:
        """Build for crops of `crop` = (height, width) out of images zoomed by a factor within `zoom`."""
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the package index otherwise
        import albumentations as A

        self.pipeline = A.Compose(
            [
                A.HorizontalFlip(p=0.5),
                A.RandomScale((zoom[0] - 1, zoom[1] - 1), p=1, mask_interpolation=cv2.INTER_NEAREST_EXACT),
                A.PadIfNeeded(*crop, border_mode=cv2.BORDER_CONSTANT, fill=0, fill_mask=255),
                A.RandomCrop(*crop),
                A.ColorJitter(brightness=(0.7, 1.3), contrast=(0.7, 1.3), saturation=(0.7, 1.3), hue=(-0.03, 0.03)),
            ]
        )

    def __call__(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return an augmented image uint8 (h, w, 3) and its mask (h, w); padding is 255 in the mask."""
        self.pipeline.set_random_seed(seed)
        augmented = self.pipeline(image=image, mask=mask)
        return augmented["image"], augmented["mask"]
