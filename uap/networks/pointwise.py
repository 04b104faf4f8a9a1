"""1 x 1 convolutions with a stride, whose training is safe on CPUs."""

from torch import Tensor, nn
from torch.nn import functional

NARROW = 16
"""Below so many channels, torch 2.15 writes the gradient of the weights of such a convolution outside of its memory on
some CPUs, if images are channels-last: the process ends, or other values change. `Conv2d(8, 16, 1, stride=2)` on images
`(1, 8, 96, 192)` shows it, at once with `LD_PRELOAD=libc_malloc_debug.so.0 MALLOC_CHECK_=3`."""


class SlicedConv2d(nn.Conv2d):
    """A 1 x 1 convolution that takes the pixels of its stride first, which gives the same values.

    Example:
        >>> import torch
        >>> plain, sliced = nn.Conv2d(4, 2, 1, stride=2), SlicedConv2d(4, 2, 1, stride=2)
        >>> _ = sliced.load_state_dict(plain.state_dict())
        >>> x = torch.rand(1, 4, 5, 6)
        >>> torch.allclose(plain(x), sliced(x), atol=1e-6)
        True
    """

    def forward(self, input: Tensor) -> Tensor:  # the name of torch
        """Return the convolution of every `stride`-th pixel."""
        rows, columns = self.stride
        return functional.conv2d(input[..., ::rows, ::columns], self.weight, self.bias)


def pointwise(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1 x 1 convolution without a bias.

    Example:
        >>> type(pointwise(8, 16, 2)).__name__, type(pointwise(16, 32, 2)).__name__, type(pointwise(8, 16)).__name__
        ('SlicedConv2d', 'Conv2d', 'Conv2d')
    """
    kind = SlicedConv2d if stride > 1 and inputs < NARROW else nn.Conv2d
    return kind(inputs, outputs, 1, stride, bias=False)
