"""The contract of defenses: preprocessing of images before a network sees them."""

import abc
from typing import Any

import torch
from torch import Tensor, nn

from uap.utils.quantize import eight_bit


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
    """A defense that samples from a generator of its own.

    Args:
        seed: of the generator.

    Example:
        >>> class Brighter(RandomDefense):
        ...     def exact(self, images):
        ...         return images + torch.rand(1, generator=self.generator)
        >>> defense, images = Brighter(), torch.full((1, 3, 2, 2), 9.0)
        >>> first = defense(images)
        >>> defense.reset()
        >>> torch.equal(defense(images), first)
        True
    """

    def __init__(self, seed: int = 0) -> None:
        """Seed the generator."""
        super().__init__()
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def reset(self) -> None:
        """Seed the generator again, so that an evaluation does not depend on those before it."""
        self.generator.manual_seed(self.seed)


def rounded(images: Tensor) -> Tensor:
    """Return images rounded and clipped to 8 bits, as float32."""
    return eight_bit(images).float()
