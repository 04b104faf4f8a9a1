"""Features of a network: the output of one of its layers, without a change of the network."""

from collections.abc import Callable
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
        layer: name of the layer, as in `model.named_modules()`.
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

    handle = _layer(model, layer).register_forward_hook(stop)
    try:
        model(images)
    except _LayerRan:
        pass
    finally:
        handle.remove()
    if not found or not _is_feature_map(found[0]) or len(found[0]) != len(images):
        given = "did not run" if not found else f"gives {_described(found[0])}"
        raise InputError(
            f"The layer {layer} {given}, expected features (N, F, h, w) of {len(images)} images. Name another layer.",
            setting="layer",
            kind="wrong_shape",
        )
    features: Tensor = found[0]
    return features


@torch.no_grad()
def deepest_layer(model: Callable[[Tensor], Tensor], images: Tensor) -> str:
    """Return the name of the last of the layers with the most channels, which is the last one of most encoders.

    Layers with as many channels as the network has classes are left out, and those with a single location.

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
            if _is_feature_map(output):
                channels.pop(name, None)  # the order is that of the last run
                channels[name] = output.shape[1]

        return store

    handles = [layer.register_forward_hook(hook(name)) for name, layer in _module(model).named_modules() if name]
    try:
        classes = model(images[:1]).shape[1]
    finally:
        for handle in handles:
            handle.remove()
    channels = {name: count for name, count in channels.items() if count != classes}
    if not channels:
        raise InputError(
            f"No layer of {type(model).__name__} gives features (N, F, h, w). Use a loss of the logits.",
            setting="layer",
            kind="not_supported",
        )
    return max(reversed(channels), key=lambda name: channels[name])  # `max` returns the first of equal ones


def _module(model: object) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise InputError(
            f"Features need a torch.nn.Module, got {type(model).__name__}. Wrap the function in a module.",
            setting="victim",
            kind="wrong_type",
        )
    return model


def _layer(model: object, name: str) -> nn.Module:
    layers: dict[str, nn.Module] = dict(_module(model).named_modules())
    if name not in layers or not name:
        known = [layer for layer in layers if layer]
        raise InputError(
            f"{type(model).__name__} has no layer {name!r}. Its last layers are {', '.join(known[-8:])}; "
            "named_modules() lists all.",
            setting="layer",
            kind="unknown_name",
        )
    return layers[name]


def _is_feature_map(output: object) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[-2:].numel() > 1


def _described(output: object) -> str:
    return f"the shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
