"""Features of a network: the output of one of its layers, without a change of the network."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from uap.utils.errors import InputError


class _LayerRan(Exception):
    """Ends a forward pass after the layer whose output is wanted."""


def features_of(model: Callable[[Tensor], Tensor], layer: str, images: Tensor) -> Tensor:
    """Return the output of a layer; the forward pass ends there, so that later layers take no time.

    Args:
        model: the network, a module.
        layer: name of the layer, as in `model.named_modules()`, or its end, so that `encoder.level3` also names
            `network.encoder.level3` of a victim.
        images: `(N, 3, H, W)` float32, 0 to 255.

    Returns:
        `(N, F, h, w)`.

    Raises:
        InputError: the model is no module, has no such layer, or the layer gives no features for each image.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1))
        >>> features_of(model, "0", torch.zeros(1, 3, 4, 6)).shape
        torch.Size([1, 8, 4, 6])
    """
    found: list[Any] = []

    def stop(module: nn.Module, inputs: Any, output: Any) -> None:
        found.append(output)
        raise _LayerRan

    name = _full_name(model, layer)
    handle = module_of(model).get_submodule(name).register_forward_hook(stop)
    try:
        model(images)
    except _LayerRan:
        pass
    finally:
        handle.remove()
    if not found or not _is_feature_map(found[0]) or len(found[0]) != len(images):
        given = "did not run" if not found else f"gives {_described(found[0])}"
        raise InputError(
            f"The layer {layer} {given}, expected features (N, F, h, w) of {len(images)} images. Name another layer; "
            "compiled networks are not supported.",
            setting="layer",
            kind="wrong_shape",
        )
    features: Tensor = found[0]
    return features


def deepest_layer(model: Callable[[Tensor], Tensor], images: Tensor) -> str:
    """Return the name of the last of the layers with the most channels, which is the last one of most encoders.

    Layers with as many channels as the image or as the network has classes are left out, those with a single location,
    those without a gradient, and those that see several images in place of one.

    Args:
        model: the network, a module.
        images: `(N, 3, H, W)` float32, 0 to 255.

    Raises:
        InputError: the model is no module, or has no layer with features `(N, F, h, w)`.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1))
        >>> deepest_layer(model, torch.zeros(1, 3, 4, 6))
        '1'
    """
    channels: dict[str, int] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def store(module: nn.Module, inputs: Any, output: Any) -> None:
            if _is_feature_map(output) and len(output) == 1 and output.requires_grad:
                channels.pop(name, None)  # the order is that of the last run
                channels[name] = output.shape[1]

        return store

    with ExitStack() as stack, torch.enable_grad():
        for name, layer in module_of(model).named_modules():
            if name and not isinstance(layer, torch.jit.ScriptModule):
                stack.callback(layer.register_forward_hook(hook(name)).remove)
        classes = model(images[:1].detach().requires_grad_()).shape[1]
    channels = {name: count for name, count in channels.items() if count not in (classes, images.shape[1])}
    if not channels:
        raise InputError(
            f"No layer of {type(model).__name__} gives features (N, F, h, w). Use a loss of the logits.",
            setting="layer",
            kind="not_supported",
        )
    return max(reversed(channels), key=lambda name: channels[name])  # `max` returns the first of equal ones


def module_of(model: object) -> nn.Module:
    """Return a network that is a module.

    Raises:
        InputError: it is none.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            f"Features need a torch.nn.Module, got {type(model).__name__}. Wrap the function in a module.",
            setting="victim",
            kind="wrong_type",
        )
    return model


def _full_name(model: object, layer: str) -> str:
    """Return the name of a layer in `model.named_modules()`, for the name or its end.

    Raises:
        InputError: there is no such layer, several have this end, or it is of TorchScript.

    Example:
        >>> _full_name(nn.Sequential(nn.Sequential(nn.ReLU(), nn.Tanh())), "1")
        '0.1'
    """
    layers: dict[str, nn.Module] = dict(module_of(model).named_modules())
    found = [layer] if layer in layers else [name for name in layers if name.endswith(f".{layer}")]
    if len(found) != 1 or not layer:
        known = [name for name in layers if name]
        which = f"no layer {layer!r}" if not found or not layer else f"several layers {layer!r}: {', '.join(found[:8])}"
        raise InputError(
            f"{type(model).__name__} has {which}. Its last layers are {', '.join(known[-8:])}; named_modules() lists "
            "all.",
            setting="layer",
            kind="unknown_name",
        )
    if isinstance(layers[found[0]], torch.jit.ScriptModule):
        raise InputError(
            f"The layer {layer} is of TorchScript, which gives no features. Use the network itself, or a loss of the "
            "logits.",
            setting="layer",
            kind="not_supported",
        )
    return found[0]


def _is_feature_map(output: object) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[-2:].numel() > 1


def _described(output: object) -> str:
    return f"the shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
