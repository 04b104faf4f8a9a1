import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.networks import FCN8sResNet
from uap.networks.resnet import ResNetEncoder
from uap.utils.errors import InputError
from uap.victims import Victim

STAGES = ["layer1", "layer2", "layer3", "layer4"]


@pytest.mark.parametrize(("enlarge", "height", "width"), [(1, 32, 96), (2, 16, 48), (4, 8, 24)])
def test_logits_have_the_size_of_the_image(enlarge: int, height: int, width: int) -> None:
    network = FCN8sResNet(7, 18, 4, enlarge).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_encoder_has_the_names_and_shapes_of_torchvision(depth: int) -> None:
    with torch.device("meta"):
        theirs = getattr(models, f"resnet{depth}")().state_dict()
        own = ResNetEncoder(depth).state_dict()
    expected = {name: value.shape for name, value in theirs.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in own.items()} == expected


@pytest.mark.parametrize("depth", [18, 50])
def test_features_equal_those_of_torchvision(depth: int) -> None:
    reference: nn.Module = getattr(models, f"resnet{depth}")().eval()
    own = ResNetEncoder(depth).eval()
    own.load_state_dict({name: value for name, value in reference.state_dict().items() if not name.startswith("fc.")})
    image = torch.randn(1, 3, 40, 72)
    with torch.no_grad():
        expected = create_feature_extractor(reference, STAGES)(image)
        for features, name in zip(own(image), STAGES, strict=True):
            torch.testing.assert_close(features, expected[name])


def strides_and_dilations(stage: nn.Module) -> set[tuple[int, int]]:
    convolutions = [layer for layer in stage.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)]
    return {(layer.stride[0], layer.dilation[0]) for layer in convolutions}


def test_dilations_replace_the_strides_of_the_last_stages() -> None:
    encoder = ResNetEncoder(50, 2, dilated=True).eval()
    found = {name: strides_and_dilations(encoder.get_submodule(name)) for name in STAGES}
    assert found == {"layer1": {(1, 1)}, "layer2": {(2, 1), (1, 1)}, "layer3": {(1, 2)}, "layer4": {(1, 4)}}
    assert [tuple(x.shape[2:]) for x in encoder(torch.rand(1, 3, 64, 32))] == [(16, 8), (8, 4), (8, 4), (8, 4)]


def test_logits_are_the_sum_of_the_upsampled_scores() -> None:
    torch.manual_seed(0)
    network = FCN8sResNet(3, 18, 4)
    settle(network)
    for score in (network.score_32, network.score_16, network.score_8):
        nn.init.normal_(score.weight)
        nn.init.normal_(score.bias)  # type: ignore[arg-type]
    image = torch.randn(1, 3, 256, 256)

    def up(scores: Tensor, factor: int) -> Tensor:
        return F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)

    with torch.no_grad():
        _, eighth, sixteenth, last = network.encoder(image)
        scores = up(up(network.score_32(last), 2) + network.score_16(sixteenth), 2) + network.score_8(eighth)
        inner = (..., slice(64, -64), slice(64, -64))  # a transposed convolution has zeros beyond the border
        torch.testing.assert_close(network(image)[inner], up(scores, 8)[inner])


def test_untrained_network_has_equal_logits() -> None:
    assert not FCN8sResNet(3, 18, 4).eval()(torch.rand(1, 3, 32, 32)).any()


def test_imagenet_setting_loads_encoder_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: torch.full_like(value, 0.5) for name, value in models.resnet18().state_dict().items()}
    monkeypatch.setattr(models.ResNet18_Weights, "get_state_dict", lambda self, **how: known)
    network = FCN8sResNet(2, 18, imagenet=True)
    assert all((value == 0.5).all() for value in network.encoder.parameters())


def test_wrong_arguments_raise_error() -> None:
    with pytest.raises(InputError, match="enlarge=3, expected 1, 2 or 4"):
        FCN8sResNet(2, 18, 4, enlarge=3)
    with pytest.raises(InputError, match="depth=19 and width=4, expected a depth of 18, 34, 50, 101, 152"):
        FCN8sResNet(2, 19, 4)
    with pytest.raises(InputError, match="width=0"):
        FCN8sResNet(2, 18, 0)
    with pytest.raises(InputError, match="width=4 and imagenet=True, expected a width of 64"):
        FCN8sResNet(2, 18, 4, imagenet=True)


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = FCN8sResNet(3, 18, 4, enlarge=2)
    for score in (network.score_32, network.score_16, network.score_8):
        nn.init.normal_(score.weight)
    settle(network)
    victim = Victim(network, classes=list("abc"), mean=(128.0,) * 3, std=(64.0,) * 3, size_multiple=16)
    assert_gradient_is_right(victim, 32, 48)
