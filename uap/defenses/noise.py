"""Random noise."""

import torch
from torch import Tensor

from uap.defenses.base import RandomDefense, rounded
from uap.utils.numbers import check_number


class GaussianNoise(RandomDefense):
    """Normal noise, sampled for each image and rounded to 8 bits; its gradient is the identity's.

    The noise of an image depends on the seed and the image alone (`RandomDefense`).

    Args:
        std: standard deviation in grey levels, above 0.
        seed: of the noise.

    Raises:
        InputError: the standard deviation is not above 0.

    Example:
        >>> images = torch.full((1, 3, 8, 8), 9.0)
        >>> torch.equal(GaussianNoise(4)(images), GaussianNoise(4)(images))
        True
    """

    def __init__(self, std: float, seed: int = 0) -> None:
        """Set the standard deviation and the seed."""
        super().__init__(seed)
        check_number("GaussianNoise", "std", std, above=0, unit="grey levels")
        self.std = std

    def exact(self, images: Tensor) -> Tensor:
        """Return the noisy images."""
        noise = torch.stack([torch.randn(images.shape[1:], generator=one) for one in self.generators(images)])
        return rounded(images.float() + self.std * noise.to(images.device))
