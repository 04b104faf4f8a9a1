"""Tests of layers that only compute the gradient of their input."""

import copy

import pytest
import torch
from torch import nn

from tests.helpers import refuses
from tests.victims.gradients import settle
from uap.networks import CGNet, ESPNet
from uap.victims import Victim
from uap.victims.cpu_kernels import FrozenBatchNorm2d, FrozenPReLU, freeze_layers, zero_subnormals


def frozen(module: nn.Module) -> nn.Module:
    """Return a frozen copy of a module."""
    copies = nn.Sequential(copy.deepcopy(module))
    freeze_layers(copies)
    return copies[0]


def assert_frozen_is_the_same(module: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> None:
    """Check that values are equal bit for bit, and compare the gradients of the input."""
    results = []
    for layer in (module, frozen(module)):
        image = x.clone().requires_grad_(True)
        output = layer(image)
        results.append((output, torch.autograd.grad(output, image, gradient)[0]))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 7), (2, 5, 6, 7), (1, 5, 2, 3, 4)])
@pytest.mark.parametrize("slopes", [1, 5])
@pytest.mark.parametrize("negative", [False, True])
def test_prelu_equals_pytorch(shape: tuple[int, ...], slopes: int, dtype: torch.dtype, negative: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    module = nn.PReLU(slopes).to(dtype)
    with torch.no_grad():
        module.weight.copy_(torch.rand(slopes, generator=generator) - 0.5 * negative)
    x = torch.randn(shape, generator=generator).to(dtype)
    x.view(-1)[0] = 0
    gradient = torch.randn(shape, generator=generator).to(dtype)
    assert_frozen_is_the_same(module, x, gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("affine", [False, True])
def test_batch_norm_equals_pytorch(affine: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.BatchNorm2d(5, eps=0.1, affine=affine).to(dtype).eval()
    module(torch.randn(2, 5, 6, 7, dtype=dtype))
    for tensor in (module.running_mean, module.running_var, *module.parameters()):
        torch.nn.init.uniform_(tensor, 0.1, 2)  # type: ignore[arg-type]
    x, gradient = torch.randn(2, 2, 5, 6, 7, dtype=dtype)
    assert_frozen_is_the_same(module, x, gradient)


def test_batch_norm_keeps_the_memory_layout_and_does_not_store_its_input() -> None:
    module = frozen(nn.BatchNorm2d(3).eval())
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    kept: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = module(x)
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    assert kept == [3]


def test_gradient_equals_finite_differences_in_both_memory_layouts() -> None:
    module = frozen(nn.PReLU(3).double())
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    assert torch.autograd.gradcheck(module, x)
    assert torch.autograd.gradcheck(lambda y: module(y.contiguous(memory_format=torch.channels_last)), x)


@pytest.mark.parametrize("layer", [nn.PReLU(3), nn.BatchNorm2d(3).eval()])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_layers_equal_pytorch_under_autocast(layer: nn.Module, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    if isinstance(layer, nn.BatchNorm2d):
        torch.nn.init.uniform_(layer.get_buffer("running_var"), 0.1, 2)
    x, results = torch.randn(1, 3, 4, 5, dtype=dtype), []
    for module in (layer, frozen(layer)):
        image = x.clone().requires_grad_(True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = module(image)
        results.append((output, torch.autograd.grad(output.float().square().sum(), image)[0]))
    assert results[0][0].dtype == results[1][0].dtype
    assert results[1][1].dtype == dtype
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=2e-2, atol=1e-2)


def test_freeze_layers_changes_layers_in_place() -> None:
    shared = nn.PReLU(3)
    unknown = nn.BatchNorm2d(3, track_running_stats=False)
    network = nn.Sequential(shared, nn.Sequential(nn.PReLU(), shared), nn.ReLU(), nn.BatchNorm2d(3), unknown)
    before, names = list(network.modules()), list(network.state_dict())
    freeze_layers(network)
    assert all(one is other for one, other in zip(before, network.modules(), strict=True))
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(FrozenPReLU) == 2
    assert kinds.count(FrozenBatchNorm2d) == 1
    assert type(unknown) is nn.BatchNorm2d
    assert nn.PReLU not in kinds
    assert list(network.state_dict()) == names


class Unusual(nn.Module):
    """A network with layers in an additional list, a hook, and an in-place change of the output of a PReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.activation, self.head = nn.BatchNorm2d(3), nn.PReLU(3), nn.Conv2d(3, 2, 1)
        self.stages = [self.norm, self.activation]
        self.norm.register_forward_hook(lambda module, inputs, output: 3 * output)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stages[1](self.stages[0](x))
        y += x
        result: torch.Tensor = self.head(y)
        return result


def test_unusual_network_has_the_same_output() -> None:
    torch.manual_seed(0)
    network = Unusual().eval().double()
    images = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    expected = network(images)
    slopes = torch.autograd.grad(expected.square().sum(), images)[0]
    fingerprint = Victim(network, classes=["a", "b"]).fingerprint()
    victim = Victim(network, classes=["a", "b"]).double()
    assert victim.fingerprint() != fingerprint  # of another type
    assert victim.float().fingerprint() == fingerprint
    victim.double()
    torch.testing.assert_close(victim(images), expected)
    torch.testing.assert_close(torch.autograd.grad(victim(images).square().sum(), images)[0], slopes)


def test_batch_norm_in_training_mode_raises_error() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
    network.register_forward_pre_hook(lambda module, inputs: module[0].train() and None)
    victim = Victim(network, classes=["a", "b"])
    with refuses("model.victim.network", "not_supported", "BatchNorm"):
        victim.check((16, 16))


@pytest.mark.parametrize("kind", [ESPNet, CGNet])
def test_victim_has_the_gradients_of_its_network(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind(5)
    settle(network)
    network.to(memory_format=torch.channels_last)
    images = torch.rand(1, 3, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    (expected,) = torch.autograd.grad(network(images).square().sum(), images)
    victim = Victim(network, classes=["a", "b", "c", "d", "e"])
    (found,) = torch.autograd.grad(victim(images).square().sum(), images)
    assert not any(type(module) is nn.PReLU for module in victim.modules())
    assert not any(type(module) is nn.BatchNorm2d for module in victim.modules())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_a_victim_has_no_subnormal_numbers_and_the_same_logits_and_gradients() -> None:
    first, norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
    network = nn.Sequential(first, norm, nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()
    with torch.no_grad():
        first.weight[2:4] *= 1e-38  # dead channels
        norm.weight[2:4] = 1e-39
        norm.get_buffer("running_var").fill_(1e4)[2] = 1e-40
    image = torch.rand(1, 3, 6, 6) * 255
    expected = [image.clone().requires_grad_(True)]
    expected += [network(expected[0]), torch.autograd.grad(network(expected[0]).sum(), expected[0])[0]]
    victim = Victim(network, classes=["road", "sky"])
    leaf = image.clone().requires_grad_(True)
    torch.testing.assert_close(victim(leaf), expected[1])
    torch.testing.assert_close(torch.autograd.grad(victim(leaf).sum(), leaf)[0], expected[2])
    for _, tensor in [*victim.named_parameters(), *victim.named_buffers()]:
        assert not ((tensor != 0) & (tensor.abs() < 1.17e-38)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_smallest_normal_number_stays(dtype: torch.dtype) -> None:
    layer, tiny = nn.Linear(4, 1).to(dtype), torch.finfo(dtype).tiny
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([tiny, -tiny / 2, 1.0, -tiny], dtype=dtype))
    zero_subnormals(layer)
    assert layer.weight.tolist() == [[tiny, 0.0, 1.0, -tiny]]
