"""Random generators whose samples depend on a seed and an image, not on a batch or an order."""

import zlib

import numpy as np
import torch
from torch import Tensor


def image_generator(seed: int, image: Tensor) -> torch.Generator:
    """Return a random generator on the CPU that depends on a seed and the pixels of an image `(3, H, W)` alone.

    Example:
        >>> image = torch.rand(3, 2, 2)
        >>> torch.equal(*[torch.rand(3, generator=image_generator(0, image)) for _ in range(2)])
        True
    """
    (state,) = np.random.SeedSequence([seed, checksum(image)]).generate_state(1)
    return torch.Generator().manual_seed(int(state))


def checksum(image: Tensor) -> int:
    """Return a checksum of the values of an image; images of another dtype have another one.

    Example:
        >>> checksum(torch.zeros(1)) == checksum(torch.ones(1))
        False
    """
    return zlib.crc32(image.detach().cpu().contiguous().numpy().tobytes())


def sampled_seed(generator: torch.Generator | None) -> int:
    """Return a seed from a generator on the CPU; 0 without one.

    Example:
        >>> sampled_seed(None)
        0
    """
    return 0 if generator is None else int(torch.randint(2**31, (1,), generator=generator))
