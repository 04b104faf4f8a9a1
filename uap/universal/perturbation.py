"""The perturbation and its parametrizations."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from uap.utils.errors import InputError
from uap.utils.quantize import quantize_change


def tile(proto: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat a proto-tile over an image (Metzen et al., sec. 3.3), and crop it to the size of the image.

    The gradient of the proto-tile is the sum of the gradients of all tiles.

    Args:
        proto: (3, h, w).
        size: height and width of the image.

    Returns:
        (3, height, width).

    Example:
        >>> tile(torch.tensor([[[1.0, 2.0]]] * 3), (2, 3))[0].tolist()
        [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    height, width = size
    down, across = -(-height // proto.shape[-2]), -(-width // proto.shape[-1])
    if (down, across) != (1, 1):
        proto = proto.repeat(1, down, across)
    return proto[..., :height, :width]


def check_epsilon(epsilon: float, setting: str) -> None:
    """Check that epsilon is in grey levels, and not too small for 8-bit images.

    Args:
        epsilon: largest absolute value of a perturbation.
        setting: name of the setting, for the message.

    Raises:
        InputError: epsilon is outside [1, 255].

    Example:
        >>> check_epsilon(10, "epsilon")
        >>> check_epsilon(0.03, "epsilon")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        uap.utils.errors.InputError: epsilon is 0.03, expected grey levels ...
    """
    if 1 <= epsilon <= 255:
        return
    levels = round(epsilon * 255) if 0 < epsilon < 1 else 0
    advice = f" Did you mean {levels}, the value for {epsilon:g} on the scale from 0 to 1?" if levels else ""
    raise InputError(
        f"{setting} is {epsilon}, expected grey levels from 1 to 255 (the paper uses 2 to 20); a value below 1 has no "
        f"effect on 8-bit images.{advice}",
        setting=setting,
        kind="out_of_range",
    )


Parametrization = Literal["clip", "tanh"]
"""How a perturbation stays within epsilon: it is clipped after each step, or is epsilon * tanh of a parameter."""


class Tanh(nn.Module):
    """The function epsilon * tanh(w / epsilon) of a parameter w in grey levels; it is close to w for small w.

    Carlini and Wagner (2017) bound the image by a tanh; here it bounds the perturbation.

    Example:
        >>> Tanh(epsilon=10.0)(torch.tensor([0.0, 1000.0])).tolist()
        [0.0, 10.0]
    """

    def __init__(self, epsilon: float) -> None:
        """Set the bound in grey levels."""
        super().__init__()
        self.epsilon = epsilon

    def forward(self, learned: Tensor) -> Tensor:
        """Return values within [-epsilon, epsilon]."""
        return self.epsilon * torch.tanh(learned / self.epsilon)


class Perturbation(nn.Module):
    """A universal perturbation within [-epsilon, epsilon] grey levels, periodic with its proto-tile.

    Example:
        >>> perturbation = Perturbation((2, 2), epsilon=10)
        >>> _ = torch.nn.init.constant_(perturbation.proto, 12.0)
        >>> perturbation.project_(10)
        >>> images = torch.tensor([100.0, 250.0])[:, None, None, None].expand(2, 3, 4, 6)
        >>> perturbation(images).detach()[:, 0, 0, 0].tolist()
        [110.0, 255.0]
    """

    proto: Tensor

    def __init__(self, tile_size: tuple[int, int], epsilon: float, parametrization: Parametrization = "clip") -> None:
        """Start at zero.

        Args:
            tile_size: height and width of the proto-tile; the image's size for a perturbation that is not periodic.
            epsilon: largest absolute value, in grey levels.
            parametrization: whether the parameter is the proto-tile (`clip`), or the argument of a tanh (`tanh`).

        Raises:
            InputError: epsilon is outside [1, 255], or the tile has no pixels.
        """
        super().__init__()
        check_epsilon(epsilon, "epsilon")
        if min(tile_size) < 1:
            raise InputError(
                f"The proto-tile's size is {tile_size}, expected height and width of 1 or more.",
                setting="model.tile",
                kind="out_of_range",
            )
        self.epsilon = epsilon
        self.parametrization = parametrization
        self.image_size: tuple[int, int] | None = None
        """Height and width of the images to which it can be added; None for any size, over which it is repeated."""
        self.proto = nn.Parameter(torch.zeros(3, *tile_size))
        if parametrization == "tanh":
            register_parametrization(self, "proto", Tanh(epsilon))

    @property
    def parameter(self) -> nn.Parameter:
        """The only trainable parameter: the proto-tile, or the argument of the tanh."""
        return next(self.parameters())

    def forward(self, images: Tensor, shift: tuple[int, int] = (0, 0)) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` float32, 0 to 255.

        Args:
            images: `(N, 3, H, W)` of any dtype, 0 to 255.
            shift: pixels by which the proto-tile is shifted cyclically, down and to the right.

        Raises:
            InputError: the images have another size than `image_size`.
        """
        proto = self.proto.roll(shift, (-2, -1)) if any(shift) else self.proto
        return (images.float() + tile(proto, self._size(images))).clamp(0, 255)

    @torch.no_grad()
    def eight_bit(self, images: Tensor) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` uint8: rounded, clipped, and within epsilon.

        The perturbation is first clipped to the integer part of epsilon, because rounding could exceed epsilon.

        Args:
            images: `(N, 3, H, W)` of any dtype, 0 to 255.

        Raises:
            InputError: the images have another size than `image_size`.
        """
        return quantize_change(images.float(), tile(self.proto, self._size(images)), self.epsilon)

    def _size(self, images: Tensor) -> tuple[int, int]:
        size = (images.shape[-2], images.shape[-1])
        if self.image_size not in (None, size):
            raise InputError(
                f"The images have {size[0]} x {size[1]} pixels, but the perturbation is only for {self.image_size}: "
                "it is not periodic. Resize the images, or set its `image_size` to None to repeat or crop it.",
                setting="images",
                kind="wrong_shape",
            )
        return size

    @torch.no_grad()
    def start_at_random_(self, generator: torch.Generator) -> None:
        """Set the parameter to uniform noise within epsilon, in place; the generator is one on the CPU."""
        noise = torch.rand(self.parameter.shape, generator=generator)
        self.parameter.copy_(self.epsilon * (2 * noise - 1))

    @torch.no_grad()
    def project_(self, bound: float) -> None:
        """Clip every entry to [-bound, bound] grey levels in place, except for a tanh, which is within epsilon."""
        if self.parametrization == "clip":
            self.proto.clamp_(-bound, bound)
