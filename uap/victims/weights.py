"""Reading weights from files, as data and never as code."""

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

NESTS = ("state_dict", "model", "model_state_dict", "model_state", "network", "net")
"""Keys under which published files hold the state dictionary."""

WHOLE = (torch.qint8, torch.quint8, torch.qint32, torch.int8, torch.uint8)
"""What quantized weights are stored as."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a `.safetensors` or `.pth` file, or from a network that was pickled whole.

    Objects that are no tensors, arrays, numbers, strings or containers of them are left out, unexecuted; a warning
    names them.

    Raises:
        InputError: no such file, or it holds no weights.
    """
    state, left_out = (_read_safetensors(path), []) if path.suffix == ".safetensors" else load_leaving_out(path)
    omitted = f"{', '.join(left_out[:8])}{f' and {len(left_out) - 8} more' if len(left_out) > 8 else ''}"
    try:
        tensors = _tensors(state)
    except RecursionError as error:
        raise InputError(
            f"{path} holds a network that is a part of itself. It is damaged: download it again."
        ) from error
    if not tensors:
        reason = f" (what it holds of {omitted} is no data, and was not loaded)" if left_out else ""
        raise InputError(
            f"{path} holds no tensors by name{reason}. Expected a state dictionary: parameter names and their tensors, "
            "as `torch.save(network.state_dict(), path)` writes it."
        )
    if left_out:
        warnings.warn(f"{path}: what is no data was left out, unexecuted: {omitted}.", stacklevel=2)
    return tensors


def _tensors(state: object) -> dict[str, Tensor]:
    """Return the tensors of a state dictionary, of a pickled network's attributes, or of what holds one of them."""
    for key in NESTS * 2:  # one may stand within another
        nested = _items(state).get(key)
        if _items(nested) or "_modules" in getattr(nested, "__dict__", {}):
            state = nested
    found = _items(state) or dict(_of_module(state, ""))
    return {
        name.removeprefix("module.").replace("_orig_mod.", ""): tensor  # of DataParallel, and of torch.compile
        for name, value in found.items()
        if isinstance(name, str) and (tensor := _tensor(value)) is not None
    }


def _items(found: object) -> dict[Any, Any]:
    """Return the items alone: a file can give a dictionary attributes that hide its methods."""
    return dict(dict.items(found)) if isinstance(found, dict) else {}


def _of_module(found: object, prefix: str) -> Iterator[tuple[str, object]]:
    """Give the parameters and buffers of a pickled network, in the place of which its attributes stand."""
    attributes = getattr(found, "__dict__", {})
    unsaved = attributes.get("_non_persistent_buffers_set")
    for kind in ("_parameters", "_buffers"):
        for name, value in _items(attributes.get(kind)).items():
            if not isinstance(unsaved, set) or name not in unsaved:
                yield f"{prefix}{name}", value
    for name, inner in _items(attributes.get("_modules")).items():
        yield from _of_module(inner, f"{prefix}{name}.")


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        return torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
    return value if isinstance(value, Tensor) else None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    check_file(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}). It is damaged: download or save it again.") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a file's weights into a network, strictly.

    A prefix of the names (Lightning's `model.` or `net.`) is left out, and so is what the file holds beside the network
    of that prefix. A network may say in `published_names` how its layers are called in files that others published, and
    in `unused_weights` how the names begin that only its training needed.

    Raises:
        InputError: the weights are another network's; the message names what differs.
    """
    own = network.state_dict()
    tensors = read_state_dict(path)
    _check_not_quantized(tensors, own, path)
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    state = _of_network(tensors, network, needed, path)
    missing = [name for name in needed if name not in state]
    extra = [name for name in state if name not in own]
    shapes = [
        f"{name} is {tuple(state[name].shape)}, the network's is {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if missing or extra or shapes:
        raise InputError(
            f"{path} holds the weights of another network than {type(network).__name__} as it is configured: "
            f"{len(missing)} tensors are missing{_first(missing)}, {len(extra)} are unknown{_first(extra)}, "
            f"{len(shapes)} have another shape{_first(shapes)}. Check the class and its init_args."
        )
    network.load_state_dict(state, strict=False)


def _check_not_quantized(state: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    """Refuse whole numbers in the place of weights: copied as they are they would be the weights.

    Raises:
        InputError: the file holds a quantized network.
    """
    counted = [name for name, value in state.items() if value.dtype in WHOLE and value.ndim > 1]
    if counted and not any(value.dtype in WHOLE and value.ndim > 1 for value in own.values()):
        raise InputError(
            f"{path} holds a quantized network ({counted[0]} is {state[counted[0]].dtype}), through which no gradient "
            "goes. Give the weights in floating point that it was quantized from."
        )


def _in_own_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    unused = getattr(network, "unused_weights", ())
    state = {name: value for name, value in state.items() if not name.startswith(unused)}
    names = _published_names(network)
    layers = ((name.rpartition("."), value) for name, value in state.items())
    return {f"{names.get(layer, layer)}{dot}{kind}": value for (layer, dot, kind), value in layers}


def _published_names(network: nn.Module) -> dict[str, str]:
    names: dict[str, str] = getattr(network, "published_names", dict)()
    return names


def _of_network(state: dict[str, Tensor], network: nn.Module, needed: list[str], path: Path) -> dict[str, Tensor]:
    """Return the entries of the prefix under which most of the needed names stand, in the network's own names.

    Raises:
        InputError: under two prefixes stand all of them.
    """
    published = {own: theirs for theirs, own in _published_names(network).items()}
    parts = [name.rpartition(".") for name in needed[:1] + needed[-1:]]
    ends = {f".{called}{dot}{kind}" for layer, dot, kind in parts for called in (layer, published.get(layer, layer))}
    prefixes = {name.removesuffix(end[1:]) for name in state for end in ends if name.endswith(end)}
    states = {
        prefix: _in_own_names({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}, network)
        for prefix in ["", *sorted(prefixes)]
    }
    found = {prefix: sum(name in named for name in needed) for prefix, named in states.items()}
    complete = [prefix for prefix, count in found.items() if count == len(needed)]
    if len(complete) > 1 and "" not in complete:
        raise InputError(
            f"{path} holds {len(complete)} such networks: their names begin with {', '.join(complete)}. Save the one "
            "that is meant in a file of its own."
        )
    return states[max(found, key=lambda prefix: found[prefix])]


def _first(names: list[str]) -> str:
    return f" ({names[0]})" if names else ""
