from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.networks import DeepLabv2ResNet, DeepLabv2VGG
from uap.victims import Victim
from uap.victims.weights import load_weights

SLIM = (2, 3, 4, 5, 6)

BUILDERS: list[Callable[[], DeepLabv2ResNet | DeepLabv2VGG]] = [
    lambda: DeepLabv2ResNet(3, 18, 4),
    lambda: DeepLabv2ResNet(3, 50, 2),
    lambda: DeepLabv2VGG(3, SLIM, 4),
    lambda: DeepLabv2VGG(3, SLIM, 4, batch_norm=True),
]

VGG = {
    "conv1_1": (64, 3, 3, 3),
    "conv5_3": (512, 512, 3, 3),
    **{f"fc6_{i}": (1024, 512, 3, 3) for i in range(1, 5)},
    **{f"fc7_{i}": (1024, 1024, 1, 1) for i in range(1, 5)},
    **{f"fc8_voc12_{i}": (21, 1024, 1, 1) for i in range(1, 5)},
}
"""Names and shapes in the authors' Caffe network."""


def own_name(network: DeepLabv2ResNet | DeepLabv2VGG, name: str) -> str:
    layer, _, kind = name.rpartition(".")
    return f"{network.published_names()[layer]}.{kind}"


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(("height", "width"), [(33, 65), (64, 32), (41, 9)])
def test_logits_have_the_size_of_the_image(
    build: Callable[[], DeepLabv2ResNet | DeepLabv2VGG], height: int, width: int
) -> None:
    assert build().eval()(torch.rand(2, 3, height, width)).shape == (2, 3, height, width)


def test_names_of_the_network_on_resnet_equal_the_published_ones() -> None:
    with torch.device("meta"):
        network, resnet = DeepLabv2ResNet(), models.resnet101()
    expected = {name: value.shape for name, value in resnet.state_dict().items() if not name.startswith("fc.")}
    for i in range(4):
        scores = {"weight": torch.Size([21, 2048, 3, 3]), "bias": torch.Size([21])}
        expected |= {f"layer5.conv2d_list.{i}.{kind}": shape for kind, shape in scores.items()}
    state = network.state_dict()
    assert {name: state[own_name(network, name)].shape for name in expected} == expected
    assert len(state) == len(expected)


def test_names_of_the_network_on_vgg_equal_the_published_ones() -> None:
    with torch.device("meta"):
        network = DeepLabv2VGG()
    state = network.state_dict()
    assert {name: tuple(state[own_name(network, f"{name}.weight")].shape) for name in VGG} == VGG
    assert len(state) == 2 * (13 + 12)


@pytest.mark.parametrize("build", BUILDERS[1:3])
def test_files_in_the_published_layout_are_loaded(
    build: Callable[[], DeepLabv2ResNet | DeepLabv2VGG], tmp_path: Path
) -> None:
    network = build().eval()
    theirs = {own: name for name, own in network.published_names().items()}
    layers = ((*name.rpartition("."), value) for name, value in network.state_dict().items())
    torch.save({f"Scale.{theirs[layer]}.{kind}": value for layer, _, kind, value in layers}, tmp_path / "deeplab.pth")
    loaded = build().eval()
    load_weights(loaded, tmp_path / "deeplab.pth")
    image = torch.rand(1, 3, 33, 41)
    torch.testing.assert_close(loaded(image), network(image))


def test_features_on_resnet_have_the_published_strides_and_dilations() -> None:
    encoder = DeepLabv2ResNet(3, 50, 2).eval().encoder
    shapes = [tuple(features.shape[2:]) for features in encoder(torch.rand(1, 3, 321, 512))]
    assert shapes == [(81, 129), (41, 65), (41, 65), (41, 65)]  # the pooling rounds up
    strides = {name: m.stride for name, m in encoder.named_modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)}
    assert strides.keys() == {"conv1", "layer2.0.conv1", "layer2.0.downsample.0"}


def test_scores_on_resnet_are_the_sum_of_four_dilated_convolutions() -> None:
    torch.manual_seed(0)
    network = DeepLabv2ResNet(3, 18, 4)
    settle(network)
    image = torch.randn(1, 3, 65, 97)
    features = network.encoder(image)[-1]
    scores = torch.zeros(1, 3, 9, 13)
    for branch, step in zip(network.aspp, (6, 12, 18, 24), strict=True):
        weight, bias = (branch.get_parameter(name) for name in ("weight", "bias"))
        scores = scores + F.conv2d(features, weight, bias, padding=step, dilation=step)
    expected = F.interpolate(scores, (65, 97), mode="bilinear", align_corners=True)
    torch.testing.assert_close(network(image), expected)


def test_network_on_vgg_equals_the_published_layers() -> None:
    torch.manual_seed(0)
    network = DeepLabv2VGG(3, SLIM, 4).eval()
    state = network.state_dict()

    def convolve(x: Tensor, name: str, dilation: int, padding: int) -> Tensor:
        weight, bias = (state[own_name(network, f"{name}.{kind}")] for kind in ("weight", "bias"))
        return F.conv2d(x, weight, bias, padding=padding, dilation=dilation)

    image = x = torch.randn(1, 3, 65, 97)
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for i in range(count):
            step = 2 if stage == 5 else 1
            x = F.relu(convolve(x, f"conv{stage}_{i + 1}", step, step))
        x = F.max_pool2d(x, 3, 2 if stage <= 3 else 1, padding=1, ceil_mode=True)
    scores = torch.zeros(1, 3, *x.shape[2:])
    for i, step in enumerate((6, 12, 18, 24), 1):
        y = F.relu(convolve(x, f"fc6_{i}", step, step))
        y = F.relu(convolve(y, f"fc7_{i}", 1, 0))
        scores = scores + convolve(y, f"fc8_voc12_{i}", 1, 0)
    assert scores.std() > 0
    torch.testing.assert_close(network(image), F.interpolate(scores, (65, 97), mode="bilinear", align_corners=True))


@pytest.mark.parametrize("build", [BUILDERS[0], BUILDERS[3]])
def test_gradient_equals_finite_differences(build: Callable[[], DeepLabv2ResNet | DeepLabv2VGG]) -> None:
    torch.manual_seed(0)
    network = build()
    settle(network)
    victim = Victim(network, classes=list("abc"), mean=(128.0,) * 3, std=(64.0,) * 3)
    assert_gradient_is_right(victim, 33, 41)
