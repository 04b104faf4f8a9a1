"""1 x 1 convolutions of narrow networks: none has the stride whose weight gradient ends the process on some CPUs."""

import pytest
import torch
from torch import nn

from uap.networks import DRND22, FCN8sResNet
from uap.networks.pointwise import NARROW, SlicedConv2d


@pytest.mark.parametrize("network", [DRND22(3, 4), FCN8sResNet(3, depth=18, width=8)], ids=["DRN", "ResNet"])
def test_narrow_networks_take_the_pixels_of_a_stride_first(network: nn.Module) -> None:
    strided = [
        m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride != (1, 1)
    ]
    narrow = [m for m in strided if m.in_channels < NARROW]
    assert narrow
    assert all(isinstance(m, SlicedConv2d) for m in narrow)


def test_values_and_gradients_are_those_of_the_plain_convolution() -> None:
    torch.manual_seed(0)
    plain, sliced = nn.Conv2d(6, 4, 1, 2, bias=False), SlicedConv2d(6, 4, 1, 2, bias=False)
    sliced.load_state_dict(plain.state_dict())
    x = torch.rand(2, 6, 7, 9)
    weights = torch.rand(2, 4, 4, 5)
    for network in (plain, sliced):
        (network(x) * weights).sum().backward()
    assert plain.weight.grad is not None
    assert sliced.weight.grad is not None
    torch.testing.assert_close(sliced.weight.grad, plain.weight.grad)
