"""Detection of networks without trained weights, on which an attack has no meaning."""

import math

import torch
from torch import Tensor, nn

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm)

MIN_WEIGHTS = 64
"""Layers with fewer weights are ignored: their initial and trained values cannot be distinguished."""


def looks_untrained(network: nn.Module) -> bool:
    """Return whether the parameters and statistics of a network look like their initial values.

    Training changes the statistics and scales of normalization layers. In a network without such layers, it moves
    weights out of the initial range of PyTorch, or biases away from 0.
    """
    modules = [module for _, module in network.named_modules() if not isinstance(module, torch.jit.ScriptModule)]
    norms = [module for module in modules if isinstance(module, NORMS) and module.state_dict()]
    if norms:
        return all(_is_new_norm(norm) for norm in norms)
    layers = [module for module in modules if isinstance(module, LAYERS) and module.weight.numel() >= MIN_WEIGHTS]
    return bool(layers) and all(_is_new_layer(layer) for layer in layers)


def _is_new_norm(norm: nn.Module) -> bool:
    mean, variance = getattr(norm, "running_mean", None), getattr(norm, "running_var", None)
    if isinstance(mean, Tensor) and isinstance(variance, Tensor):
        return not mean.any() and bool((variance == 1).all())
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    return (weight is None or bool((weight == 1).all())) and (bias is None or not bias.any())


def _is_new_layer(layer: nn.Module) -> bool:
    weight, bias = layer.weight, layer.bias
    if not isinstance(weight, Tensor):
        return False
    if isinstance(bias, Tensor) and not bias.any():
        return bool(weight.any())
    range_ = 1 / math.sqrt(weight[0].numel())  # of the initial uniform distribution of PyTorch
    return 0.9 * range_ < float(weight.detach().abs().max()) <= 1.0001 * range_
