"""What the results of a network depend on beside its weights: its structure and its code, as text for hashes."""

import torch
from torch import nn

from uap.utils.plain_settings import source

NO_STRUCTURE = ("training", "name_or_path")
"""Attributes of modules that change no prediction: the mode, and the path of a network of Hugging Face."""


def structure_of(network: nn.Module) -> str:
    """Return the structure of a network as text: its layers and the plain attributes of each module.

    It is computed before the first image, because modules may store values of the last image as attributes.

    Example:
        >>> structure_of(nn.ReLU())
        "ReLU()[('', 'ReLU', 'inplace', False)]"
    """
    plain = (bool, int, float, str, tuple, type(None))
    settings = [
        (name, module._get_name(), key, value)
        for name, module in network.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
        for key, value in sorted(vars(module).items())
        if isinstance(value, plain) and key not in NO_STRUCTURE and not key.startswith("_")
    ]
    return f"{network!r}{settings!r}"


def code_of(network: nn.Module) -> list[str]:
    """Return the source of each class of a network's modules that is not torch's; the name of one without a source.

    Example:
        >>> code_of(nn.Sequential(nn.ReLU()))
        []
    """
    kinds = {type(module) for module in network.modules() if not isinstance(module, torch.jit.ScriptModule)}
    own = [kind for kind in kinds if kind.__module__.split(".")[0] != "torch"]
    return sorted(source(kind) or f"{kind.__module__}.{kind.__qualname__}" for kind in own)
