"""The networks of the benchmarks: those published for Cityscapes, with random weights."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from uap.networks import CGNet, ESPNet, FCN8s
from uap.victims import Victim
from uap.victims.cpu_kernels import FrozenBatchNorm2d, FrozenPReLU

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ESPNet": lambda: ESPNet(20, 2, 8, join_image=False),
    "CGNet": lambda: CGNet(19, 3, 21),
    "FCN-8s": lambda: FCN8s(19),
}


def new_victim(name: str, device: str) -> Victim:
    """Return the victim with a network of `NETWORKS`."""
    torch.manual_seed(0)
    return Victim(NETWORKS[name](), std=(64.0, 64.0, 64.0), size_multiple=8).to(device)


def with_torch_layers(network: nn.Module, *frozen: type[nn.Module]) -> nn.Module:
    """Return a copy with PyTorch's layers instead of those that compute only the gradient of their input."""
    found, own = copy.deepcopy(network), {FrozenPReLU: nn.PReLU, FrozenBatchNorm2d: nn.BatchNorm2d}
    for module in found.modules():
        if isinstance(module, frozen):
            module.__class__ = own[type(module)]
    return found
