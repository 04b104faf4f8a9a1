"""The perturbation: the only thing that is learned, and its file."""

import json
import math
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.paths import check_file
from uap.utils.quantize import eight_bit


def tile(proto: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat a proto-tile over an image (Metzen et al., sec. 3.3) and crop where the image is no multiple.

    The gradient of all tiles falls on the one proto-tile, as their sum.

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
    """Check that a bound is in grey levels, and large enough that something of it can be saved with 8 bits.

    Args:
        epsilon: the largest absolute value of a perturbation.
        setting: what it is called, for the message.

    Raises:
        InputError: it is not within [1, 255].

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
    advice = f" Did you mean {levels}, which {epsilon:g} is on a scale from 0 to 1?" if levels else ""
    raise InputError(
        f"{setting} is {epsilon}, expected grey levels above 0 and up to 255 (the paper has 2 to 20); below 1 nothing "
        f"of it is left in an 8-bit image.{advice}"
    )


Parametrization = Literal["clip", "tanh"]
"""How a perturbation stays within epsilon: by clipping it after each step, or as epsilon * tanh of what is learned."""


class Tanh(nn.Module):
    """epsilon * tanh(w / epsilon), with w in grey levels and near it where it is small.

    After Carlini and Wagner (2017), whose tanh bounds the image; here it bounds what is added.

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
            epsilon: the largest absolute value, in grey levels.
            parametrization: what is learned, the proto-tile itself or what its tanh is taken of.

        Raises:
            InputError: epsilon is not within [1, 255], or the tile has no pixels.
        """
        super().__init__()
        check_epsilon(epsilon, "epsilon")
        if min(tile_size) < 1:
            raise InputError(f"The proto-tile's size is {tile_size}, expected height and width of 1 or more.")
        self.epsilon = epsilon
        self.parametrization = parametrization
        self.image_size: tuple[int, int] | None = None
        """Height and width of the only images that it may be put on; None for any, over which it is repeated."""
        self.proto = nn.Parameter(torch.zeros(3, *tile_size))
        if parametrization == "tanh":
            register_parametrization(self, "proto", Tanh(epsilon))

    @property
    def parameter(self) -> nn.Parameter:
        """The only trainable parameter: the proto-tile, or what its tanh is taken of."""
        return next(self.parameters())

    def forward(self, images: Tensor, phase: tuple[int, int] = (0, 0)) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` float32 for images of any dtype, both in 0 to 255.

        Args:
            images: (N, 3, H, W).
            phase: pixels by which the proto-tile is rolled down and to the right first.

        Raises:
            InputError: the images are of another size than `image_size`.
        """
        proto = self.proto.roll(phase, (-2, -1)) if any(phase) else self.proto
        return (images.float() + tile(proto, self._size(images))).clamp(0, 255)

    @torch.no_grad()
    def eight_bit(self, images: Tensor) -> Tensor:
        """Return the adversarial images as they can be saved: within epsilon, rounded, clipped; uint8, as `images`.

        Of an epsilon that is no whole number its whole part can be saved: rounding would go beyond it.

        Raises:
            InputError: the images are of another size than `image_size`.
        """
        whole = math.floor(self.epsilon)
        noise = tile(self.proto.clamp(-whole, whole), self._size(images))
        return eight_bit(images.float() + noise)

    def _size(self, images: Tensor) -> tuple[int, int]:
        size = (images.shape[-2], images.shape[-1])
        if self.image_size not in (None, size):
            raise InputError(
                f"The images have {size[0]} x {size[1]} pixels, the perturbation is for {self.image_size} alone: it "
                "has no period. Resize the images, or set its `image_size` to None to repeat or crop it."
            )
        return size

    @torch.no_grad()
    def project_(self, bound: float) -> None:
        """Clip every entry to [-bound, bound] grey levels, in place; a tanh is within epsilon by itself."""
        if self.parametrization == "clip":
            self.proto.clamp_(-bound, bound)


def save_perturbation(
    perturbation: Perturbation, path: Path, metadata: dict[str, str], scene: Tensor | None = None
) -> None:
    """Write the proto-tile as float32 safetensors with its metadata.

    Args:
        perturbation: within its epsilon.
        path: the file; replaced whole or not at all.
        metadata: what is to be known of it; `epsilon` is added.
        scene: (H, W) uint8, the static target that it was learned for, if it was.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "delta.safetensors")
        ...     save_perturbation(Perturbation((2, 2), epsilon=10), path, {"network": "ESPNet"})
        ...     print(load_perturbation(path)[1]["network"])
        ESPNet
    """
    proto = perturbation.proto.detach().float().clamp(-perturbation.epsilon, perturbation.epsilon).cpu().contiguous()
    tensors = {"proto": proto} | ({"scene": scene.contiguous()} if scene is not None else {})
    with atomic_file(path) as file:
        save_file(tensors, file, metadata | {"epsilon": str(perturbation.epsilon)})


def load_perturbation(path: str | Path) -> tuple[Perturbation, dict[str, str]]:
    """Read a perturbation and its metadata.

    Without a period it fits images of the size that it was learned on alone; set its `image_size` to None to repeat or
    crop it.

    Raises:
        InputError: there is no such file, or it holds no perturbation within its epsilon.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "delta.safetensors")
        ...     save_perturbation(Perturbation((2, 2), epsilon=10), path, {"size": "[4, 6]"})
        ...     perturbation, metadata = load_perturbation(path)
        >>> perturbation(torch.full((1, 3, 4, 6), 100.0)).shape, metadata["epsilon"]
        (torch.Size([1, 3, 4, 6]), '10')
    """
    path = Path(path)
    check_file(path, "perturbation", "A finished run writes perturbation.safetensors in its folder.")
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            proto: Tensor = file.get_tensor("proto")
        if proto.ndim != 3 or len(proto) != 3 or proto.dtype != torch.float32:
            raise ValueError(f"`proto` has the shape {tuple(proto.shape)} and {proto.dtype}, not (3, h, w) and float32")
        perturbation = Perturbation((proto.shape[-2], proto.shape[-1]), float(metadata["epsilon"]))
        learned_on = learned_size(perturbation, metadata)
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError, InputError) as error:
        raise InputError(
            f"{path} holds no perturbation ({str(error).rstrip('.')}). Expected a safetensors file with the tensor "
            "`proto` and the metadata `epsilon`, as a run writes it."
        ) from error
    with torch.no_grad():
        if not (proto.abs() <= perturbation.epsilon).all():
            raise InputError(
                f"{path} is no perturbation within its epsilon {perturbation.epsilon}: its largest entry is "
                f"{proto.abs().max():.3f}. It was changed after it was learned."
            )
        perturbation.proto.copy_(proto)
    if learned_on == (proto.shape[-2], proto.shape[-1]):
        perturbation.image_size = learned_on
    return perturbation, metadata


def learned_size(perturbation: Perturbation, metadata: dict[str, str]) -> tuple[int, int]:
    """Return height and width of the images that a perturbation was learned on: its tile's, where its file has none.

    Where they differ from the tile's, it is periodic.

    Raises:
        ValueError: the file's size is no [height, width].
    """
    size = json.loads(metadata["size"]) if "size" in metadata else list(perturbation.proto.shape[-2:])
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(f"its `size` is {metadata['size']}, not [height, width]")
    return size[0], size[1]


def load_scene(path: Path, size: tuple[int, int]) -> Tensor | None:
    """Return the static target (H, W) uint8, if any, of a file that `load_perturbation` reads.

    Args:
        path: the file.
        size: height and width of the images that the perturbation was learned on.

    Raises:
        InputError: the target is no scene of that size.
    """
    with safe_open(path, "pt") as file:
        scene: Tensor | None = file.get_tensor("scene") if "scene" in file.keys() else None  # noqa: SIM118
    if scene is not None and (scene.dtype != torch.uint8 or tuple(scene.shape) != size):
        raise InputError(
            f"{path} has a `scene` of {tuple(scene.shape)} and {scene.dtype}, expected {size} and uint8, as the images "
            "that it was learned on. It was changed: learn it again with python -m uap.fit."
        )
    return scene
