"""Reading weights from files, as data and never as code."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from uap.errors import InputError
from uap.safe_load import safe_load

NESTS = ("state_dict", "model", "model_state_dict")
"""Keys under which published files hold the state dictionary."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a `.safetensors` or `.pth` file.

    A pickle that holds anything but tensors, numbers, strings and containers of them is refused unread.

    Raises:
        InputError: no such file, or it holds no weights.
    """
    state = _read_safetensors(path) if path.suffix == ".safetensors" else safe_load(path)
    if not isinstance(state, dict):
        raise InputError(f"{path} holds a {type(state).__name__}, expected a state dictionary of tensors by name.")
    for key in NESTS:
        nested = state.get(key)
        if isinstance(nested, dict):
            state = nested
    tensors = {
        name.removeprefix("module."): value
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not tensors:
        raise InputError(f"{path} holds no tensors. Expected a state dictionary: parameter names and their tensors.")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"There is no file {path}. Check the path.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}). It is damaged: download or save it again.") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a file's weights into a network, strictly.

    Raises:
        InputError: the weights are another network's; the message names what differs.
    """
    state = read_state_dict(path)
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
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


def _first(names: list[str]) -> str:
    return f" ({names[0]})" if names else ""
