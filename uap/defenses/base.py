"""The contract of defenses: preprocessing of images before a network sees them."""

import abc
from typing import Any

import torch
from torch import Tensor, nn

from uap.utils.numbers import check_number
from uap.utils.quantize import eight_bit
from uap.utils.sampling import image_generator


class _StraightThrough(torch.autograd.Function):
    """The values of the second argument with the gradient of the first; a sum of both would round differently."""

    @staticmethod
    def forward(ctx: Any, approximate: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class Defense(nn.Module, abc.ABC):
    """Preprocessing of images, with an exact forward pass and a gradient that attacks can use.

    Images are `(N, 3, H, W)` float, 0 to 255; the result has the same shape. A subclass computes the exact result
    (`exact`). The gradient is that of the identity, unless a subclass has a better approximation (`approximate`): a
    straight-through estimator (Bengio et al., arXiv 1308.3432), as in BPDA (Athalye et al., arXiv 1802.00420).

    Example:
        >>> class Invert(Defense):
        ...     def exact(self, images):
        ...         return 255 - images
        ...
        ...     def approximate(self, images):
        ...         return 255 - images
        >>> images = torch.full((1, 3, 2, 2), 9.0, requires_grad=True)
        >>> Invert()(images).sum().backward()
        >>> images.grad.unique().tolist()
        [-1.0]
    """

    @abc.abstractmethod
    def exact(self, images: Tensor) -> Tensor:
        """Return the defended images; called without gradients."""

    def approximate(self, images: Tensor) -> Tensor:
        """Return a differentiable approximation of `exact`; the images themselves by default."""
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Return the values of `exact` with the gradient of `approximate`."""
        with torch.no_grad():
            exact = self.exact(images.detach()).to(images.dtype)
        if not (torch.is_grad_enabled() and images.requires_grad):
            return exact
        defended: Tensor = _StraightThrough.apply(self.approximate(images), exact)
        return defended


class RandomDefense(Defense):
    """A defense that samples: the sample of an image depends on the seed and the values of the image alone.

    So a result depends neither on the batch nor on the order of images, and predictions can be kept. An attack meets a
    new sample in each step, because its images differ.

    Args:
        seed: of the samples.

    Example:
        >>> class Brighter(RandomDefense):
        ...     def exact(self, images):
        ...         shares = [torch.rand(1, generator=generator) for generator in self.generators(images)]
        ...         return images + torch.stack(shares)[:, None, None]
        >>> defense, images = Brighter(), torch.rand(2, 3, 2, 2)
        >>> torch.equal(defense(images)[1:], defense(images[1:]))
        True
    """

    def __init__(self, seed: int = 0) -> None:
        """Set the seed."""
        super().__init__()
        check_number(type(self).__name__, "seed", seed, whole=True)
        self.seed = seed

    def generators(self, images: Tensor) -> list[torch.Generator]:
        """Return a generator on the CPU for each image of `(N, 3, H, W)`."""
        return [image_generator(self.seed, image) for image in images]


def rounded(images: Tensor) -> Tensor:
    """Return images rounded and clipped to 8 bits, as float32."""
    return eight_bit(images).float()
