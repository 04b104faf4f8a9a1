from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from uap.networks import FCN8s
from uap.utils.errors import InputError
from uap.victims import Victim
from uap.victims.weights import load_weights

SLIM = (4, 4, 6, 6, 6)


def randomised(network: nn.Module) -> nn.Module:
    """Return the network without zero weights, so that every path contributes."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(("enlarge", "height", "width"), [(1, 32, 96), (2, 16, 48), (4, 8, 24)])
def test_logits_have_the_size_of_the_image(batch_norm: bool, enlarge: int, height: int, width: int) -> None:
    network = FCN8s(7, SLIM, 5, batch_norm, enlarge).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_published_parameters_are_complete() -> None:
    with torch.device("meta"):
        network = FCN8s(21)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    names = network.published_names()
    assert names["conv1_1"] == "features.0"
    assert names["conv5_3"] == "features.28"
    assert shapes[f"{names['conv4_1']}.weight"] == (512, 256, 3, 3)
    assert shapes["fc6.weight"] == (4096, 512, 7, 7)
    assert shapes["upscore8.weight"] == (21, 21, 16, 16)
    # 13 convolutions of VGG16, two of 4096 channels, three scores and three upsamplings without bias
    vgg16, head = 14_714_688, 512 * 49 * 4096 + 4096 + 4096 * 4096 + 4096
    scores, upsamplings = 21 * (4096 + 512 + 256) + 3 * 21, 21 * 21 * (2 * 4 * 4 + 16 * 16)
    assert sum(p.numel() for p in network.parameters()) == vgg16 + head + scores + upsamplings


def test_network_in_a_file_of_crf_rnn_is_loaded(tmp_path: Path) -> None:
    network = FCN8s(5, SLIM, 5, upscore2_bias=True)
    assert "upscore2.bias" in network.state_dict()
    randomised(network)
    own = {new: old for old, new in network.published_names().items()}
    layers = ((*name.rpartition("."), value) for name, value in network.state_dict().items())
    published = {f"{own.get(layer, layer)}.{kind}": value for layer, _, kind, value in layers}
    torch.save(published | {"crfrnn.compatibility_matrix": torch.eye(5)}, tmp_path / "crfrnn.pth")
    loaded = FCN8s(5, SLIM, 5, upscore2_bias=True).eval()
    load_weights(loaded, tmp_path / "crfrnn.pth")
    image = torch.rand(1, 3, 32, 64)
    assert torch.equal(loaded(image), network(image))


def test_files_in_the_published_layout_are_loaded(tmp_path: Path) -> None:
    network = randomised(FCN8s(5, SLIM, 5))
    own = {new: old for old, new in FCN8s(5, SLIM, 5).published_names().items()}
    layers = ((*name.rpartition("."), value) for name, value in network.state_dict().items())
    published = {f"{own.get(layer, layer)}.{kind}": value for layer, _, kind, value in layers}
    assert "conv1_1.weight" in published
    path = tmp_path / "fcn8s.pth"
    torch.save({"model_state_dict": published, "epoch": 3}, path)
    victim = Victim(FCN8s(5, SLIM, 5), str(path), classes=list("abcde"), size_multiple=32)
    image = torch.rand(1, 3, 32, 64)
    torch.testing.assert_close(victim(image), network(image), rtol=1e-2, atol=1e-3)  # another memory layout


def published_forward(network: FCN8s, image: Tensor) -> Tensor:
    """The published geometry: a border of zeros, no padding in fc6, scores cropped by 5, 9 and 31 of 100 border pixels.

    The border is 97 pixels here, and the last crop 28: then the poolings fall on the same pixels as without a border.
    """

    def crop(scores: Tensor, offset: int, like: Tensor) -> Tensor:
        return scores[..., offset : offset + like.shape[-2], offset : offset + like.shape[-1]]

    def upsample(layer: nn.ConvTranspose2d, scores: Tensor) -> Tensor:
        return F.conv_transpose2d(scores, layer.weight, stride=layer.stride)

    x, pooled = F.pad(image, (96, 96, 96, 96)), []  # the first layer pads by 1
    for layer in network.features:
        is_pool = isinstance(layer, nn.MaxPool2d)
        x = F.max_pool2d(x, 2, 2, ceil_mode=True) if is_pool else layer(x)
        pooled += [x] if is_pool else []
    x = F.relu(F.conv2d(pooled[4], network.fc6.weight, network.fc6.bias))
    x = upsample(network.upscore2, network.score_fr(F.relu(network.fc7(x))))
    x = upsample(network.upscore_pool4, x + crop(network.score_pool4(pooled[3]), 5, x))
    x = upsample(network.upscore8, x + crop(network.score_pool3(pooled[2]), 9, x))
    return crop(x, 28, image)


def test_scores_equal_the_published_network_away_from_the_border() -> None:
    network = randomised(FCN8s(3, (2, 2, 2, 2, 2), 2)).double()
    assert isinstance(network, FCN8s)
    with torch.no_grad():
        center = network.fc6.weight[..., 3:4, 3:4].clone()  # or the border would reach everywhere
        network.fc6.weight.zero_()[..., 3:4, 3:4] = center
    image = torch.rand(1, 3, 448, 448, dtype=torch.float64)
    inner = (..., slice(208, 240), slice(208, 240))
    expected = published_forward(network, image)
    assert expected[inner].std() > 0
    torch.testing.assert_close(network(image)[inner], expected[inner])


def test_upsampling_starts_bilinear() -> None:
    network = FCN8s(3, SLIM, 5)
    x = torch.rand(1, 3, 6, 6)
    for layer, factor in ((network.upscore2, 2), (network.upscore8, 8)):
        expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
        inner = (..., slice(factor, -factor), slice(factor, -factor))
        torch.testing.assert_close(layer(x)[inner], expected[inner])


def test_imagenet_setting_loads_encoder_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in FCN8s(2).features.state_dict(prefix="features.").items()}
    known = {name: torch.full(shape, 0.5) for name, shape in shapes.items()} | {"classifier.0.weight": torch.ones(1)}
    monkeypatch.setattr(VGG16_Weights, "get_state_dict", lambda self, **how: known if how["weights_only"] else None)
    network = FCN8s(2, head_channels=2, imagenet=True)
    assert (network.features[28].weight == 0.5).all()
    assert not (network.fc6.weight == 0.5).any()


def test_imagenet_needs_vgg16_and_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"channels=\(4, 4, 6, 6, 6\) and imagenet=True, expected \(64, 128, 256, 512"):
        FCN8s(2, SLIM, 5, imagenet=True)

    def fail(self: object, **how: bool) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(VGG16_Weights, "get_state_dict", fail)
    with pytest.raises(InputError, match=r"IMAGENET1K_V1 could not be downloaded \(no route to host\)"):
        FCN8s(2, head_channels=2, imagenet=True)


def test_invalid_upsampling_factor_raises_error() -> None:
    with pytest.raises(InputError, match="enlarge=3, expected 1, 2 or 4"):
        FCN8s(2, SLIM, 5, enlarge=3)


def test_weights_of_another_width_raise_error(tmp_path: Path) -> None:
    torch.save(FCN8s(2, SLIM, 5).state_dict(), tmp_path / "slim.pth")
    with pytest.raises(InputError, match=r"have another shape \(fc6.weight is \(5, 6, 7, 7\)"):
        load_weights(FCN8s(2, SLIM, 6), tmp_path / "slim.pth")


def test_gradient_equals_finite_differences() -> None:
    network = randomised(FCN8s(3, SLIM, 5, batch_norm=True, enlarge=2)).double()
    image = torch.rand(1, 3, 16, 32, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(image)
    (gradient,) = torch.autograd.grad(network(image).square().sum(), image)
    step = 1e-6
    with torch.no_grad():
        ends = [network(image + sign * step * direction).square().sum() for sign in (1, -1)]
    torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)
