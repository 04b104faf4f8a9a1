"""Measures of the visibility of a change of images; each function returns one number per image."""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

LARGEST_VALUE = 255.0
SMALLEST_SIDE = 11
"""The side of the window of the structural similarity, in pixels."""


def perceptibility(images: Tensor, changed: Tensor) -> Tensor:
    """Return the perceptibility p of Xie et al. (ICCV 2017, arXiv 1703.08603) for each image.

    It is the square root of the mean over pixels of the squared length of the change of the RGB values, on the scale
    from 0 to 1. Typical values of dense adversary generation are 1e-3 to 3e-3.

    Args:
        images: `(N, 3, H, W)`, 0 to 255.
        changed: `(N, 3, H, W)`, 0 to 255.

    Returns:
        `(N,)` float64.

    Example:
        >>> import torch
        >>> round(perceptibility(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).item(), 5)  # sqrt(3) / 255
        0.00679
    """
    change = (changed.double() - images.double()) / LARGEST_VALUE
    return change.square().sum(1).flatten(1).mean(1).sqrt()


def largest_change(images: Tensor, changed: Tensor) -> Tensor:
    """Return `(N,)` float64, the largest absolute change of a pixel value in grey levels, of each image.

    Example:
        >>> largest_change(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 3.0)).tolist()
        [3.0]
    """
    return (changed.double() - images.double()).abs().flatten(1).amax(1)


def mean_change(images: Tensor, changed: Tensor) -> Tensor:
    """Return `(N,)` float64, the mean absolute change of pixel values in grey levels, of each image.

    Example:
        >>> mean_change(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 3.0)).tolist()
        [3.0]
    """
    return (changed.double() - images.double()).abs().flatten(1).mean(1)


def mean_change_inside(images: Tensor, changed: Tensor, region: Tensor) -> Tensor:
    """Return `(N,)` float64, the mean absolute change in grey levels of the pixels of a region `(N, H, W)` bool.

    It is NaN for an image whose region is empty.

    Example:
        >>> region = torch.tensor([[[True, False]]])
        >>> mean_change_inside(torch.zeros(1, 3, 1, 2), torch.full((1, 3, 1, 2), 3.0), region).tolist()
        [3.0]
    """
    change = (changed.double() - images.double()).abs().mean(1) * region
    return change.flatten(1).sum(1) / region.flatten(1).sum(1)


def rms_change(images: Tensor, changed: Tensor) -> Tensor:
    """Return `(N,)` float64, the root of the mean squared change of pixel values in grey levels, of each image.

    Example:
        >>> rms_change(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 3.0)).tolist()
        [3.0]
    """
    return (changed.double() - images.double()).square().flatten(1).mean(1).sqrt()


def psnr(images: Tensor, changed: Tensor) -> Tensor:
    """Return `(N,)` float64, the peak signal-to-noise ratio in decibels of each image; infinite without a change.

    Example:
        >>> round(psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 2.55)).item(), 3)  # 20 log10(255 / 2.55)
        40.0
    """
    return 20 * torch.log10(LARGEST_VALUE / rms_change(images, changed))


def ssim(images: Tensor, changed: Tensor) -> Tensor:
    """Return `(N,)`, the structural similarity of each image (Wang et al., 2004), NaN for images below 11 pixels.

    The window is the Gaussian of 11 x 11 pixels and standard deviation 1.5 of torchmetrics.

    Example:
        >>> images = torch.full((2, 3, 16, 16), 9.0)
        >>> [round(value, 4) for value in ssim(images, images).tolist()]
        [1.0, 1.0]
    """
    if min(images.shape[-2:]) < SMALLEST_SIDE:
        return torch.full((len(images),), torch.nan)
    found = structural_similarity_index_measure(
        changed.float(), images.float(), data_range=LARGEST_VALUE, reduction="none"
    )
    return found.reshape(-1) if isinstance(found, Tensor) else found[0].reshape(-1)
