from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.networks import FastSCNN
from uap.networks.fast_scnn import Bottleneck, PyramidPooling
from uap.victims import Victim

PUBLISHED = {
    "learning_to_downsample.conv.conv.0.weight": (32, 3, 3, 3),
    "learning_to_downsample.dsconv1.conv.0.weight": (32, 1, 3, 3),
    "learning_to_downsample.dsconv1.conv.3.weight": (48, 32, 1, 1),
    "learning_to_downsample.dsconv2.conv.4.running_mean": (64,),
    "global_feature_extractor.bottleneck1.0.block.0.conv.0.weight": (384, 64, 1, 1),
    "global_feature_extractor.bottleneck2.0.block.1.conv.0.weight": (384, 1, 3, 3),
    "global_feature_extractor.bottleneck3.2.block.2.weight": (128, 768, 1, 1),
    "global_feature_extractor.bottleneck3.2.block.3.bias": (128,),
    "global_feature_extractor.ppm.conv4.conv.0.weight": (32, 128, 1, 1),
    "global_feature_extractor.ppm.out.conv.0.weight": (128, 256, 1, 1),
    "feature_fusion.dwconv.conv.0.weight": (128, 1, 3, 3),
    "feature_fusion.conv_lower_res.0.bias": (128,),
    "feature_fusion.conv_higher_res.0.weight": (128, 64, 1, 1),
    "classifier.dsconv2.conv.3.weight": (128, 128, 1, 1),
    "classifier.conv.1.weight": (19, 128, 1, 1),
}
"""Names and shapes in github.com/Tramac/Fast-SCNN-pytorch for 19 classes."""


@pytest.mark.parametrize(("enlarge", "height", "width"), [(1, 64, 96), (2, 32, 80)])
def test_logits_have_the_size_of_the_image(enlarge: int, height: int, width: int) -> None:
    network = FastSCNN(7, enlarge).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_published_parameters_are_complete() -> None:
    network = FastSCNN()
    state = network.state_dict()
    assert {name: tuple(state[name].shape) for name in PUBLISHED} == PUBLISHED
    # the paper has 1.11 million (table 5)
    assert 1.1e6 < sum(p.numel() for p in network.parameters()) < 1.15e6


def test_published_file_with_an_auxiliary_head_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FastSCNN(3).eval()
    extra = {"auxlayer.0.weight": torch.rand(32, 64, 3, 3), "auxlayer.4.bias": torch.rand(3)}
    torch.save(network.state_dict() | extra, tmp_path / "fast_scnn.pth")
    victim = Victim(FastSCNN(3), str(tmp_path / "fast_scnn.pth"), classes=list("abc"), size_multiple=32)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(victim(image), network(image))


@pytest.mark.parametrize(("outputs", "stride", "residual"), [(8, 1, True), (8, 2, False), (6, 1, False)])
def test_bottleneck_adds_its_input_if_the_shapes_agree(outputs: int, stride: int, residual: bool) -> None:
    block = Bottleneck(8, outputs, stride).eval()
    x = torch.rand(1, 8, 6, 6)
    alone = block.block(x)
    torch.testing.assert_close(block(x), x + alone if residual else alone)


def test_pyramid_pooling_concatenates_region_averages() -> None:
    pyramid = PyramidPooling(8).eval()
    joined: list[Tensor] = []
    pyramid.out.register_forward_pre_hook(lambda module, inputs: joined.append(inputs[0]))
    x = torch.rand(1, 8, 12, 12)
    pyramid(x)
    assert joined[0].shape == (1, 16, 12, 12)
    torch.testing.assert_close(joined[0][:, :8], x)
    whole = pyramid.conv1(x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(joined[0][:, 8:10], whole.expand(1, 2, 12, 12))
    corner = pyramid.conv4(x[..., :2, :2].mean((2, 3), keepdim=True))  # the first of 6 x 6 regions
    torch.testing.assert_close(joined[0][:, 14:16, :1, :1], corner)


def test_enlarge_setting_enlarges_the_image() -> None:
    torch.manual_seed(0)
    plain = FastSCNN(3).eval()
    enlarging = FastSCNN(3, enlarge=2).eval()
    enlarging.load_state_dict(plain.state_dict())
    scores: list[Tensor] = []
    for network in (plain, enlarging):
        network.classifier.register_forward_hook(lambda module, inputs, output: scores.append(output))
    image = torch.rand(1, 3, 32, 64)
    plain(F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False))
    enlarging(image)
    torch.testing.assert_close(scores[0], scores[1])


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = FastSCNN(3, enlarge=2).eval().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.1)  # type: ignore[union-attr]  # untrained features would vanish
    image = torch.rand(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(image)
    (gradient,) = torch.autograd.grad(network(image).square().sum(), image)
    step = 1e-6
    with torch.no_grad():
        ends = [network(image + sign * step * direction).square().sum() for sign in (1, -1)]
    assert gradient.abs().max() > 0
    torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-4, atol=1e-9)
