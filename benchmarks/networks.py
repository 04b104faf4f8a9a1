"""The networks of the benchmarks, as they are published for Cityscapes; untrained, since speed depends on no weight."""

from collections.abc import Callable

import torch
from torch import nn

from uap.victims import CGNet, ESPNet, FCN8s, FrozenVictim

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ESPNet": lambda: ESPNet(20, 2, 8, join_image=False),
    "CGNet": lambda: CGNet(19, 3, 21),
    "FCN-8s": lambda: FCN8s(19),
}


def new_victim(name: str, device: str) -> FrozenVictim:
    """Return a network under attack by its name."""
    torch.manual_seed(0)
    return FrozenVictim(NETWORKS[name](), std=(64.0, 64.0, 64.0), size_multiple=8).to(device)
