from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.networks import DilatedNet
from uap.networks.dilated import CONTEXT_DILATIONS, ContextModule
from uap.utils.errors import InputError
from uap.victims import Victim
from uap.victims.weights import load_weights

SLIM = (2, 2, 2, 2, 2)

FRONT_END = {"conv1_1": (64, 3, 3, 3), "conv3_1": (256, 128, 3, 3), "conv5_3": (512, 512, 3, 3)} | {
    "fc6": (4096, 512, 7, 7),
    "fc7": (4096, 4096, 1, 1),
}

CITYSCAPES = {
    "final": (19, 4096, 1, 1),
    "ctx_conv1_1": (19, 19, 3, 3),
    "ctx_conv1_2": (19, 19, 3, 3),
    **{f"ctx_conv{i}_1": (19, 19, 3, 3) for i in range(2, 8)},
    "ctx_fc1": (19, 19, 3, 3),
    "ctx_final": (19, 19, 1, 1),
}
"""Names and shapes in `dilation10_cityscapes_deploy.prototxt` of the authors (github.com/fyu/dilation)."""

VOC = {
    "fc-final": (21, 4096, 1, 1),
    "ct_conv1_1": (42, 21, 3, 3),
    "ct_conv1_2": (42, 42, 3, 3),
    "ct_conv2_1": (84, 42, 3, 3),
    "ct_conv3_1": (168, 84, 3, 3),
    "ct_conv4_1": (336, 168, 3, 3),
    "ct_conv5_1": (672, 336, 3, 3),
    "ct_fc1": (672, 672, 3, 3),
    "ct_final": (21, 672, 1, 1),
}
"""The same in `dilation8_pascal_voc_deploy.prototxt`."""

VOC_DILATIONS = (1, 1, 2, 4, 8, 16)


def randomized(network: DilatedNet) -> DilatedNet:
    """Return the network with random weights whose signal does not vanish."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    return network.eval()


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize(("enlarge", "height", "width"), [(1, 32, 96), (2, 16, 48), (4, 8, 24)])
def test_logits_have_the_size_of_the_image(context: bool, enlarge: int, height: int, width: int) -> None:
    network = DilatedNet(7, SLIM, 5, batch_norm=True, context=context, enlarge=enlarge).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


@pytest.mark.parametrize(
    ("published", "network"),
    [
        (CITYSCAPES, lambda: DilatedNet(19, context=True)),
        (VOC, lambda: DilatedNet(21, context=True, context_dilations=VOC_DILATIONS, context_large=True)),
    ],
)
def test_names_and_shapes_equal_the_published_ones(published: dict[str, tuple[int, ...]], network: type) -> None:
    with torch.device("meta"):
        built = network()
    names, state = built.published_names(), built.state_dict()
    shapes = {name: tuple(state[f"{names.get(name, name)}.weight"].shape) for name in FRONT_END | published}
    assert shapes == FRONT_END | published
    assert len(state) == 2 * (13 + 2 + len(published))  # a weight and a bias of each layer


def test_files_in_the_published_layout_are_loaded(tmp_path: Path) -> None:
    network = randomized(DilatedNet(5, SLIM, 5, context=True))
    own = {new: old for old, new in network.published_names().items()}
    layers = ((*name.rpartition("."), value) for name, value in network.state_dict().items())
    published = {f"{own.get(layer, layer)}.{kind}": value for layer, _, kind, value in layers}
    assert {"conv1_1.weight", "ctx_conv7_1.bias", "ctx_final.weight"} <= published.keys()
    torch.save(published | {"ctx_upsample.weight": torch.ones(5, 1, 16, 16)}, tmp_path / "dilation.pth")
    loaded = DilatedNet(5, SLIM, 5, context=True).eval()
    load_weights(loaded, tmp_path / "dilation.pth")
    image = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(loaded(image), network(image))


def published_forward(network: DilatedNet, image: Tensor) -> Tensor:
    """The published geometry: a border of 186 pixels, and no padding in the front end (network.py of the authors)."""
    x = F.pad(image, (186, 186, 186, 186))
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    for i, layer in enumerate(convolutions):
        x = F.relu(F.conv2d(x, layer.weight, layer.bias, dilation=1 if i < 10 else 2))
        if i in (1, 3, 6):
            x = F.max_pool2d(x, 2)
    x = F.relu(F.conv2d(x, network.fc6.weight, network.fc6.bias, dilation=4))
    x = network.final(F.relu(network.fc7(x)))
    assert x.shape[-1] == image.shape[-1] / 8
    if isinstance(network.context, ContextModule):
        for module, step in zip(network.context.layers, [1, 1, 2, 4, 8, 16, 1], strict=True):
            layer = cast(nn.Conv2d, module)
            x = F.relu(F.conv2d(x, layer.weight, layer.bias, padding=step, dilation=step))
        x = network.context.final(x)
    return F.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("context", [False, True])
def test_scores_equal_the_published_network_away_from_the_border(context: bool) -> None:
    network = randomized(DilatedNet(3, SLIM, 2, context=context, context_dilations=VOC_DILATIONS)).double()
    with torch.no_grad():
        center = network.fc6.weight[..., 3:4, 3:4].clone()  # or the border would reach everywhere
        network.fc6.weight.zero_()[..., 3:4, 3:4] = center
        if isinstance(network.context, ContextModule):
            for layer in network.context.layers[2:]:
                cast(nn.Conv2d, layer).weight[..., (0, 2), :] = 0
    image = torch.rand(1, 3, 288, 832, dtype=torch.float64)
    inner = (..., slice(128, 160), slice(400, 432))
    expected = published_forward(network, image)[inner]
    assert expected.std() > 0
    torch.testing.assert_close(network(image)[inner], expected)


@pytest.mark.parametrize("dilations", [VOC_DILATIONS, CONTEXT_DILATIONS])
def test_context_module_starts_as_identity(dilations: tuple[int, ...]) -> None:
    scores = torch.rand(2, 5, 9, 14)
    assert torch.equal(ContextModule(5, dilations)(scores), scores)
    torch.manual_seed(0)  # noise makes the copies of a channel differ
    torch.testing.assert_close(ContextModule(5, dilations[:6], large=True)(scores), scores, rtol=0, atol=0.02)


def test_receptive_field_of_the_context_module_is_that_of_table_1() -> None:
    module = ContextModule(1, VOC_DILATIONS)
    for layer in module.layers:
        nn.init.ones_(cast(nn.Conv2d, layer).weight)
    scores = torch.zeros(1, 1, 81, 81)
    scores[..., 40, 40] = 1
    reached = module(scores)[0, 0] > 0
    assert reached.sum(0).max() == reached.sum(1).max() == 67


def test_batch_norm_follows_all_layers_of_the_front_end_but_the_last() -> None:
    network = DilatedNet(7, SLIM, 5, batch_norm=True, context=True)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 13 + 2
    network.fc7_bn.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    assert (network.train()(torch.rand(2, 3, 16, 16)) == 1).all()  # the initial bias


@pytest.mark.parametrize(("dropout", "is_random"), [(0.0, False), (0.5, True)])
def test_dropout_is_random_in_the_training_alone(dropout: float, is_random: bool) -> None:
    network = randomized(DilatedNet(3, SLIM, 5, dropout=dropout))
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(network(image), network(image))
    network.train()
    assert torch.equal(network(image), network(image)) is not is_random


def test_wrong_arguments_raise_error() -> None:
    with pytest.raises(InputError, match="enlarge=3, expected 1, 2 or 4"):
        DilatedNet(2, SLIM, 5, enlarge=3)
    with pytest.raises(InputError, match="dropout=1, expected a number of 0 or more, below 1"):
        DilatedNet(2, SLIM, 5, dropout=1)
    for dilations in ((), (1, 0)):
        with pytest.raises(InputError, match="expected numbers of 1 or more"):
            DilatedNet(2, SLIM, 5, context=True, context_dilations=dilations)


def test_gradient_equals_finite_differences() -> None:
    network = randomized(DilatedNet(3, (4, 4, 4, 4, 4), 4, batch_norm=True, context=True, enlarge=2))
    settle(network)
    victim = Victim(network, classes=list("abc"), mean=(128.0,) * 3, std=(64.0,) * 3, size_multiple=4)
    assert_gradient_is_right(victim, 32, 48)
