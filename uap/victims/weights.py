"""Loading of network weights from files, without executing code in them."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from uap.utils.errors import InputError
from uap.utils.paths import check_file
from uap.utils.safe_load import load_leaving_out

NESTED_KEYS = ("state_dict", "model", "model_state_dict", "model_state", "network", "net")
"""Keys of the state dictionary in published files."""

QUANTIZED_DTYPES = (torch.qint8, torch.quint8, torch.qint32, torch.int8, torch.uint8)
"""Dtypes of quantized weights."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors by name in a `.safetensors` or `.pth` file of a state dictionary or of a pickled network.

    Objects other than tensors, arrays, numbers, strings and containers of them are left out without executing their
    code. A warning names them.

    Raises:
        InputError: the file does not exist or contains no weights.
    """
    state, left_out = (_read_safetensors(path), []) if path.suffix == ".safetensors" else load_leaving_out(path)
    omitted = f"{', '.join(left_out[:8])}{f' and {len(left_out) - 8} more' if len(left_out) > 8 else ''}"
    try:
        tensors = _tensors(state)
    except RecursionError as error:
        raise InputError(
            f"{path} contains a network that contains itself. It is damaged: download it again.",
            kind="unusable_file",
        ) from error
    if not tensors:
        reason = f" (objects of {omitted} are not data and were not loaded)" if left_out else ""
        raise InputError(
            f"{path} contains no tensors by name{reason}. Expected a state dictionary: parameter names and their "
            "tensors, as `torch.save(network.state_dict(), path)` writes it.",
            kind="unusable_file",
        )
    if left_out:
        warnings.warn(f"{path}: objects that are not data were left out: {omitted}.", stacklevel=2)
    return tensors


def _tensors(state: object) -> dict[str, Tensor]:
    """Return the tensors of a state dictionary or of a pickled network, which may be nested under known keys."""
    for key in NESTED_KEYS * 2:  # they may be nested in each other
        nested = _items(state).get(key)
        if _items(nested) or "_modules" in getattr(nested, "__dict__", {}):
            state = nested
    found = _items(state) or dict(_module_tensors(state, ""))
    return {
        name.removeprefix("module.").replace("_orig_mod.", ""): tensor  # DataParallel and torch.compile
        for name, value in found.items()
        if isinstance(name, str) and (tensor := _tensor(value)) is not None
    }


def _items(found: object) -> dict[Any, Any]:
    """Return the items of a dictionary; a file can give it attributes that hide its methods."""
    return dict(dict.items(found)) if isinstance(found, dict) else {}


def _module_tensors(found: object, prefix: str) -> Iterator[tuple[str, object]]:
    """Yield the parameters and buffers of a pickled network, of which only the attributes were loaded."""
    attributes = getattr(found, "__dict__", {})
    unsaved = attributes.get("_non_persistent_buffers_set")
    for kind in ("_parameters", "_buffers"):
        for name, value in _items(attributes.get(kind)).items():
            if not isinstance(unsaved, set) or name not in unsaved:
                yield f"{prefix}{name}", value
    for name, inner in _items(attributes.get("_modules")).items():
        yield from _module_tensors(inner, f"{prefix}{name}.")


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        return torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
    return value if isinstance(value, Tensor) else None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    check_file(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({error}). It is damaged: download or save it again.",
            kind="unusable_file",
        ) from error


def load_weights(network: nn.Module, path: Path, *, may_lack: bool = False) -> None:
    """Load the weights of a file into a network; all names and shapes must agree.

    A common prefix of the names, such as `model.` of Lightning, is removed, and tensors without it are ignored. A
    network may have a method `published_names`, which maps its layer names to those in files of other projects, and an
    attribute `unused_weights` with the prefixes of weights that only the training needs.

    Denormal numbers become 0: half of the weights of the published CGNet are denormal, and with them a forward pass on
    a CPU takes 35 times as long.

    Args:
        network: the network, changed in place.
        path: the file.
        may_lack: whether layers that the file lacks keep the weights that they have, as long as it has one layer.

    Raises:
        InputError: the weights belong to another network. The message names the differences.
    """
    own = network.state_dict()
    tensors = read_state_dict(path)
    _check_not_quantized(tensors, own, path)
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    state = _matching_state(tensors, network, needed, path)
    missing = [name for name in needed if name not in state]
    extra = [name for name in state if name not in own]
    shapes = [
        f"{name} is {tuple(state[name].shape)}, the network's is {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if (missing and not (may_lack and state)) or extra or shapes:
        raise InputError(
            f"{path} contains the weights of another network than {type(network).__name__} as it is configured: "
            f"{len(missing)} tensors are missing{_first(missing)}, {len(extra)} are unknown{_first(extra)}, "
            f"{len(shapes)} have another shape{_first(shapes)}. Check the class and its init_args.",
            kind="not_supported",
        )
    network.load_state_dict({name: _without_denormals(value) for name, value in state.items()}, strict=False)


def _without_denormals(value: Tensor) -> Tensor:
    """Return a tensor whose numbers below the smallest normal one of float32 are 0; networks compute in float32.

    Example:
        >>> _without_denormals(torch.tensor([1e-40, -1e-40, 1e-30])).tolist()[:2]
        [0.0, 0.0]
    """
    if not value.is_floating_point():
        return value
    return value.masked_fill(value.float().abs() < torch.finfo(torch.float32).tiny, 0)


def _check_not_quantized(state: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    """Check that a file contains no quantized weights: their integers would be copied as weights.

    Raises:
        InputError: the file contains a quantized network.
    """
    quantized = [name for name, value in state.items() if value.dtype in QUANTIZED_DTYPES and value.ndim > 1]
    if quantized and not any(value.dtype in QUANTIZED_DTYPES and value.ndim > 1 for value in own.values()):
        raise InputError(
            f"{path} contains a quantized network ({quantized[0]} is {state[quantized[0]].dtype}), which has no "
            "gradient. Use the floating-point weights from which it was quantized.",
            kind="not_supported",
        )


def _with_own_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return a state dictionary without unused weights, with published names replaced by those of the network."""
    unused = getattr(network, "unused_weights", ())
    state = {name: value for name, value in state.items() if not name.startswith(unused)}
    names = _published_names(network)
    layers = ((name.rpartition("."), value) for name, value in state.items())
    return {f"{names.get(layer, layer)}{dot}{kind}": value for (layer, dot, kind), value in layers}


def _published_names(network: nn.Module) -> dict[str, str]:
    names: dict[str, str] = getattr(network, "published_names", dict)()
    return names


def _matching_state(state: dict[str, Tensor], network: nn.Module, needed: list[str], path: Path) -> dict[str, Tensor]:
    """Return the entries under the prefix that has most of the needed names, with the names of the network.

    Raises:
        InputError: several prefixes have all needed names.
    """
    published = {own: theirs for theirs, own in _published_names(network).items()}
    parts = [name.rpartition(".") for name in needed[:1] + needed[-1:]]
    ends = {f".{name}{dot}{kind}" for layer, dot, kind in parts for name in (layer, published.get(layer, layer))}
    prefixes = {name.removesuffix(end[1:]) for name in state for end in ends if name.endswith(end)}
    states = {
        prefix: _with_own_names({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}, network)
        for prefix in ["", *sorted(prefixes)]
    }
    found = {prefix: sum(name in named for name in needed) for prefix, named in states.items()}
    complete = [prefix for prefix, count in found.items() if count == len(needed)]
    if len(complete) > 1 and "" not in complete:
        raise InputError(
            f"{path} contains {len(complete)} such networks: their names begin with {', '.join(complete)}. Save the "
            "right one in its own file.",
            kind="unusable_file",
        )
    return states[max(found, key=lambda prefix: found[prefix])]


def _first(names: list[str]) -> str:
    return f" ({names[0]})" if names else ""
