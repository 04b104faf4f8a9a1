"""Tests of the PReLU that computes no gradient of its slopes."""

import pytest
import torch
from torch import nn

from uap.victims import CGNet, ESPNet, FrozenVictim
from uap.victims.frozen_prelu import FrozenPReLU, freeze_prelu


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 7), (2, 5, 6, 7), (1, 5, 2, 3, 4)])
@pytest.mark.parametrize("slopes", [1, 5])
def test_values_and_gradients_are_pytorchs_to_the_last_bit(
    shape: tuple[int, ...], slopes: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    module = nn.PReLU(slopes).to(dtype)
    with torch.no_grad():
        module.weight.copy_(torch.randn(slopes, generator=generator))
    x = torch.randn(shape, generator=generator).to(dtype)
    x.view(-1)[0] = 0
    gradient = torch.randn(shape, generator=generator).to(dtype)
    results = []
    for activation in (module, FrozenPReLU(module)):
        image = x.clone().requires_grad_(True)
        output = activation(image)
        results.append((output, torch.autograd.grad(output, image, gradient)[0]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_the_gradient_is_right_in_both_memory_layouts() -> None:
    module = FrozenPReLU(nn.PReLU(3).double())
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    assert torch.autograd.gradcheck(module, x)
    assert torch.autograd.gradcheck(lambda y: module(y.contiguous(memory_format=torch.channels_last)), x)


def test_it_works_under_autocast() -> None:
    module = FrozenPReLU(nn.PReLU(3))
    x = torch.randn(1, 3, 4, 5, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(x)
    output.float().sum().backward()
    assert x.grad is not None
    assert output.dtype == torch.bfloat16


def test_every_prelu_of_a_module_is_replaced_and_keeps_its_name() -> None:
    shared = nn.PReLU(3)
    network = nn.Sequential(shared, nn.Sequential(nn.PReLU(), shared), nn.ReLU())
    names = list(network.state_dict())
    freeze_prelu(network)
    kinds = [type(module) for module in network.modules() if not list(module.children())]
    assert kinds.count(FrozenPReLU) == 3
    assert nn.PReLU not in kinds
    assert list(network.state_dict()) == names


@pytest.mark.parametrize("kind", [ESPNet, CGNet])
def test_a_victim_gives_the_same_gradients_as_its_network(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind(5).eval().to(memory_format=torch.channels_last)
    images = torch.rand(1, 3, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    (expected,) = torch.autograd.grad(network(images).square().sum(), images)
    victim = FrozenVictim(network, classes=["a", "b", "c", "d", "e"])
    (found,) = torch.autograd.grad(victim(images).square().sum(), images)
    assert not any(type(module) is nn.PReLU for module in victim.modules())
    assert torch.equal(found, expected)
