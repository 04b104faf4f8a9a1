"""The perturbation, its parametrizations, and its file."""

import json
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.paths import check_file, shipped
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
    def project_(self, bound: float) -> None:
        """Clip every entry to [-bound, bound] grey levels in place, except for a tanh, which is within epsilon."""
        if self.parametrization == "clip":
            self.proto.clamp_(-bound, bound)


def save_perturbation(
    perturbation: Perturbation, path: Path, metadata: dict[str, str], scene: Tensor | None = None
) -> None:
    """Write a perturbation to a safetensors file, as float32 with metadata.

    Args:
        perturbation: the perturbation, within its epsilon.
        path: the file, which is written atomically.
        metadata: further metadata; `epsilon` is added.
        scene: `(H, W)` uint8, its static target; None for another objective.

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


def find_perturbation(name: str | Path) -> Path:
    """Return the path of a perturbation file: the path itself, or that of a shipped pattern such as `street128`.

    Example:
        >>> find_perturbation("street128").name
        'street128.safetensors'
        >>> find_perturbation("RUN/perturbation.safetensors").name
        'perturbation.safetensors'
    """
    path = Path(name)
    if path.parent != Path() or path.suffix:
        return path
    own = shipped(f"checkpoints/{path}.safetensors")
    return own if own.exists() and not path.exists() else path


def load_perturbation(path: str | Path) -> tuple[Perturbation, dict[str, str]]:
    """Read a perturbation and its metadata from a file of `save_perturbation`, or a shipped one by its name.

    If the perturbation is not periodic, it can only be added to images of the size on which it was learned; set its
    `image_size` to None to repeat or crop it.

    Raises:
        InputError: the file does not exist, or contains no perturbation within its epsilon.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "delta.safetensors")
        ...     save_perturbation(Perturbation((2, 2), epsilon=10), path, {"size": "[4, 6]"})
        ...     perturbation, metadata = load_perturbation(path)
        >>> perturbation(torch.full((1, 3, 4, 6), 100.0)).shape, metadata["epsilon"]
        (torch.Size([1, 3, 4, 6]), '10')
    """
    path = find_perturbation(path)
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
            f"{path} contains no perturbation ({str(error).rstrip('.')}). Expected a safetensors file with the tensor "
            "`proto` and the metadata `epsilon`, as a run writes it.",
            setting="perturbation",
            kind="unusable_file",
        ) from error
    with torch.no_grad():
        if not (proto.abs() <= perturbation.epsilon).all():
            raise InputError(
                f"{path} is not within its epsilon {perturbation.epsilon}: its largest entry is "
                f"{proto.abs().max():.3f}. It was changed after it was learned.",
                setting="perturbation",
                kind="unusable_file",
            )
        perturbation.proto.copy_(proto)
    if learned_on == (proto.shape[-2], proto.shape[-1]):
        perturbation.image_size = learned_on
    return perturbation, metadata


def learned_size(perturbation: Perturbation, metadata: dict[str, str]) -> tuple[int, int]:
    """Return the height and width of the images on which a perturbation was learned.

    The perturbation is periodic if they differ from those of its tile. Without metadata, they are those of its tile.

    Raises:
        ValueError: the size in the metadata is not [height, width].
    """
    size = json.loads(metadata["size"]) if "size" in metadata else list(perturbation.proto.shape[-2:])
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(f"its `size` is {metadata['size']}, not [height, width]")
    return size[0], size[1]


def load_scene(path: Path, size: tuple[int, int]) -> Tensor | None:
    """Return the static target `(H, W)` uint8 in a perturbation file, or None.

    Args:
        path: a file that `load_perturbation` can read.
        size: height and width of the images on which the perturbation was learned.

    Raises:
        InputError: the target has another size or dtype.
    """
    with safe_open(path, "pt") as file:
        scene: Tensor | None = file.get_tensor("scene") if "scene" in file.keys() else None  # noqa: SIM118
    if scene is not None and (scene.dtype != torch.uint8 or tuple(scene.shape) != size):
        raise InputError(
            f"{path} has a `scene` of {tuple(scene.shape)} and {scene.dtype}, expected {size} and uint8, as the images "
            "on which it was learned. The file was changed: learn it again with python -m uap.fit.",
            kind="unusable_file",
        )
    return scene
