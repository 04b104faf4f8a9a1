"""Running a network on sizes that it does not take, and finding the logits in what it returns."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.utils.errors import InputError

KNOWN_KEYS = ("out", "logits")
"""What torchvision and Hugging Face call the logits in their outputs."""


def resize(x: Tensor, size: tuple[int, int], *, antialias: bool = False) -> Tensor:
    """Resize maps (N, C, h, w) bilinearly to `size` = (height, width); what is no map is returned as it is."""
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
    """Return logits (N, C, H, W) for normalized images (N, 3, H, W) of any size, within the autograd graph.

    Images are padded at the bottom and the right, by their last row and column, to multiples of `size_multiple`;
    smaller outputs are upsampled; logits are cropped to the image. An output that is no logits is returned as it is.

    Args:
        network: to be run.
        x: its input, before padding.
        size_multiple: of the heights and widths that it takes.
        output: which of several outputs, as in `logits_of`.
        layout: of the images in memory.
    """
    height, width = x.shape[-2:]
    bottom, right = -height % size_multiple, -width % size_multiple
    if bottom or right:
        x = F.pad(x, (0, right, 0, bottom), mode="replicate")
    logits = resize(logits_of(network(x.contiguous(memory_format=layout)), output), (x.shape[-2], x.shape[-1]))
    return logits[..., :height, :width] if _is_map(logits) else logits


def logits_of(output: Any, choice: str | int | None = None) -> Tensor:
    """Return the logits (N, C, h, w) of a network's output.

    Of a dictionary that is the entry `out` or `logits`, or the only one; of a tuple or a list the first entry, after
    which auxiliary heads use to stand; and so on where these are nested.

    Args:
        output: what the network returned.
        choice: the key of a dictionary or the index in a tuple, where that is not so; of nested ones joined by dots.

    Raises:
        InputError: there are no logits at that place, or several that could be meant.
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
    raise InputError(f"The network gives {describe(output)}, expected logits, or logits in a tuple or dictionary.")


def _chosen(output: Any, choice: str | int) -> Any:
    found = _entry(output, choice)
    if found is None and isinstance(choice, str):
        found = output
        for key in choice.split("."):
            found = _entry(found, key)
    if found is None:
        raise InputError(
            f"victim.output is {choice!r}, but the network gives {describe(output)}. Set it to one of these, or to "
            "null for the first."
        )
    return found


def _entry(output: Any, key: str | int) -> Any:
    """Return an entry of several outputs, None for none; an index may be a text, as a command line gives it."""
    if isinstance(output, (Tensor, str)):  # whose rows are no outputs
        return None
    for form in (key, str(key), int(key) if re.fullmatch(r"-?\d+", str(key)) else key):
        with suppress(KeyError, IndexError, TypeError):
            return output[form]
    return None


def maps_of(output: Any, place: str = "") -> dict[str, Tensor]:
    """Return all maps (N, C, h, w) in a network's output, by what `victim.output` would be for each."""
    if isinstance(output, Tensor):
        return {place: output} if _is_map(output) else {}
    found: dict[str, Tensor] = {}
    row = enumerate(output) if isinstance(output, (list, tuple)) else ()
    for key, entry in output.items() if isinstance(output, Mapping) else row:
        found |= maps_of(entry, f"{place}.{key}".lstrip("."))
    return found


def choice_made(output: Any) -> str | None:
    """Return in words which of several outputs of as many classes is taken unless one is chosen; None where one is."""
    if isinstance(output, Tensor):
        return None
    taken = logits_of(output)
    rivals = {place: x for place, x in maps_of(output).items() if x.shape[1] == taken.shape[1]}
    if len(rivals) < 2:
        return None
    listed = ", ".join(f"{place} {tuple(x.shape[1:])}" for place, x in rivals.items())
    chosen = next(place for place, x in rivals.items() if x is taken)
    other = next(place for place, x in rivals.items() if x is not taken)
    return (
        f"has {len(rivals)} outputs of {taken.shape[1]} classes: {listed}. Taken is {chosen}; if another is the final "
        f"one, choose it with --model.victim.output {other}, or output: {other} in its configuration."
    )


def _key(output: Mapping[str, Any]) -> str:
    known = [key for key in KNOWN_KEYS if key in output] or (list(output) if len(output) == 1 else [])
    if not known:
        raise InputError(f"The network gives {describe(output)}. Set victim.output to the one that is the logits.")
    return known[0]


def describe(output: Any) -> str:
    """Return what an output is, in words: `a dictionary of out (1, 21, 64, 64), aux (1, 21, 64, 64)`."""
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
