"""Logits of a network for images of any size, and the selection of the logits among several outputs."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.utils.errors import InputError

KNOWN_KEYS = ("out", "logits")
"""Keys of the logits in the outputs of torchvision and Hugging Face."""


def resize(x: Tensor, size: tuple[int, int], *, antialias: bool = False) -> Tensor:
    """Resize `(N, C, h, w)` bilinearly to `size` = (height, width); tensors of another shape are returned unchanged."""
    if x.shape[-2:] == size or not _is_map(x):
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=antialias)


def _is_map(x: Tensor) -> bool:
    return x.ndim == 4 and x.is_floating_point()


def padded_logits(
    network: Callable[[Tensor], Any],
    x: Tensor,
    size_multiple: int = 1,
    output: str | int | None = None,
    layout: torch.memory_format = torch.channels_last,
) -> Tensor:
    """Return differentiable logits `(N, C, H, W)` for normalized images `(N, 3, H, W)` of any size.

    Images are padded at the bottom and the right to multiples of `size_multiple`, by repeating the last row and column.
    Smaller outputs are upsampled, and logits are cropped to the image. Outputs of another shape are returned unchanged.

    Args:
        network: the network.
        x: normalized images.
        size_multiple: height and width of the input of the network must be multiples of this number.
        output: selects one of several outputs, as in `logits_of`.
        layout: memory format of the images.
    """
    height, width = x.shape[-2:]
    bottom, right = -height % size_multiple, -width % size_multiple
    if bottom or right:
        x = F.pad(x, (0, right, 0, bottom), mode="replicate")
    logits = resize(logits_of(network(x.contiguous(memory_format=layout)), output), (x.shape[-2], x.shape[-1]))
    return logits[..., :height, :width] if _is_map(logits) else logits


def logits_of(output: Any, choice: str | int | None = None) -> Tensor:
    """Return the logits `(N, C, h, w)` in the output of a network.

    In a dictionary, the logits are the entry `out` or `logits`, or the only entry. In a tuple or list, they are the
    first entry; outputs of auxiliary heads usually follow. Nested outputs are searched in the same way.

    Args:
        output: the output of the network.
        choice: key of a dictionary or index of a tuple that selects another entry; for nested outputs joined by dots.

    Raises:
        InputError: the selected entry has no logits, or a dictionary has several entries with other keys.
    """
    if choice is not None:
        output = _chosen(output, choice)
    while not isinstance(output, Tensor):
        output = _first(output)
    return output


def _first(output: Any) -> Any:
    if isinstance(output, Mapping) and output:
        return output[_key(output)]
    if isinstance(output, (list, tuple)) and output:
        return output[0]
    raise InputError(
        f"The network gives {describe(output)}, expected logits, or logits in a tuple or dictionary.",
        setting="model.victim.network",
        kind="not_supported",
    )


def _chosen(output: Any, choice: str | int) -> Any:
    found = _entry(output, choice)
    if found is None and isinstance(choice, str):
        found = output
        for key in choice.split("."):
            found = _entry(found, key)
    if found is None:
        raise InputError(
            f"victim.output is {choice!r}, but the network gives {describe(output)}. Set it to one of these, or to "
            "null for the default.",
            setting="model.victim.output",
            kind="unknown_name",
        )
    return found


def _entry(output: Any, key: str | int) -> Any:
    """Return an entry of several outputs, or None; an index may be a string, as on the command line."""
    if isinstance(output, (Tensor, str)):  # rows and characters are not outputs
        return None
    for form in (key, str(key), int(key) if re.fullmatch(r"-?\d+", str(key)) else key):
        with suppress(KeyError, IndexError, TypeError):
            return output[form]
    return None


def maps_of(output: Any, path: str = "") -> dict[str, Tensor]:
    """Return all tensors `(N, C, h, w)` in the output of a network, by their value of `victim.output`."""
    if isinstance(output, Tensor):
        return {path: output} if _is_map(output) else {}
    found: dict[str, Tensor] = {}
    entries = enumerate(output) if isinstance(output, (list, tuple)) else ()
    for key, entry in output.items() if isinstance(output, Mapping) else entries:
        found |= maps_of(entry, f"{path}.{key}".lstrip("."))
    return found


def ambiguity(output: Any) -> str | None:
    """Return a message if several outputs have the number of classes of the default output, or None."""
    if isinstance(output, Tensor):
        return None
    default = logits_of(output)
    candidates = {path: x for path, x in maps_of(output).items() if x.shape[1] == default.shape[1]}
    if len(candidates) < 2:
        return None
    listed = ", ".join(f"{path} {tuple(x.shape[1:])}" for path, x in candidates.items())
    used = next(path for path, x in candidates.items() if x is default)
    other = next(path for path, x in candidates.items() if x is not default)
    return (
        f"has {len(candidates)} outputs of {default.shape[1]} classes: {listed}. The output {used} is used. If another "
        f"one is final, select it with --model.victim.output {other}, or output: {other} in the configuration."
    )


def _key(output: Mapping[str, Any]) -> str:
    known = [key for key in KNOWN_KEYS if key in output] or (list(output) if len(output) == 1 else [])
    if not known:
        raise InputError(
            f"The network gives {describe(output)}. Set victim.output to the key of the logits.",
            setting="model.victim.output",
            kind="missing_setting",
        )
    return known[0]


def describe(output: Any) -> str:
    """Return a description of an output, such as `a dictionary of out (1, 21, 64, 64), aux (1, 21, 64, 64)`."""
    if isinstance(output, Tensor):
        return f"a tensor {tuple(output.shape)}"
    if isinstance(output, Mapping):
        return f"a dictionary of {', '.join(f'{key} {_shape(value)}' for key, value in output.items()) or 'nothing'}"
    if isinstance(output, (list, tuple)):
        entries = ", ".join(f"{i}: {_shape(value)}" for i, value in enumerate(output))
        return f"a {type(output).__name__} of {entries or 'nothing'}"
    return f"a {type(output).__name__}"


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
