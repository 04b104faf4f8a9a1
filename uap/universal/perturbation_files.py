"""Files of perturbations, as runs write them and as they ship."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from uap.universal.perturbation import Perturbation
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.paths import check_file, shipped

PATTERNS = ("street128", "streetscenes128")
"""The names of the patterns that ship."""


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
