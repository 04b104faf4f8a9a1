"""The augmentation of training images. This is the only file that imports albumentations."""

import os

import cv2
import numpy as np
from numpy.typing import NDArray


class Augmentation:
    """Random flip, zoom, crop and color jitter of a training image and its labels; the same seed, the same result."""

    def __init__(self, crop: tuple[int, int], zoom: tuple[float, float] = (0.9, 1.25)) -> None:
        """Build the pipeline.

        Args:
            crop: height and width of the crops, in pixels.
            zoom: smallest and largest factor by which images are resized before cropping.
        """
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import queries the package index otherwise
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
        """Return an augmented image uint8 `(h, w, 3)` and its mask uint8 `(h, w)`; the mask of padding is 255."""
        self.pipeline.set_random_seed(seed)
        augmented = self.pipeline(image=image, mask=mask)
        return augmented["image"], augmented["mask"]
