from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.networks import SegNet
from uap.victims import Victim
from uap.victims.weights import load_weights

SLIM = (4, 4, 6, 6, 8)

CHANNELS = {  # of the convolutions of the authors' network, inputs and outputs
    **{"conv1_1": (3, 64), "conv1_2": (64, 64), "conv2_1": (64, 128), "conv2_2": (128, 128)},
    **{"conv3_1": (128, 256), "conv3_2": (256, 256), "conv3_3": (256, 256)},
    **{"conv4_1": (256, 512), "conv4_2": (512, 512), "conv4_3": (512, 512)},
    **{"conv5_1": (512, 512), "conv5_2": (512, 512), "conv5_3": (512, 512)},
    **{"conv5_3_D": (512, 512), "conv5_2_D": (512, 512), "conv5_1_D": (512, 512)},
    **{"conv4_3_D": (512, 512), "conv4_2_D": (512, 512), "conv4_1_D": (512, 256)},
    **{"conv3_3_D": (256, 256), "conv3_2_D": (256, 256), "conv3_1_D": (256, 128)},
    **{"conv2_2_D": (128, 128), "conv2_1_D": (128, 64), "conv1_2_D": (64, 64), "conv1_1_D": (64, 11)},
}


@pytest.mark.parametrize(("height", "width"), [(32, 64), (45, 33)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert SegNet(7, SLIM).eval()(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_layers_have_the_published_names_and_channels() -> None:
    with torch.device("meta"):
        network = SegNet(11)
    found = {
        name: (layer.in_channels, layer.out_channels)
        for name, layer in network.layers.items()
        if isinstance(layer, nn.Conv2d)
    }
    assert found == CHANNELS
    norms = {name for name, layer in network.layers.items() if isinstance(layer, nn.BatchNorm2d)}
    assert norms == {f"{name}_bn" for name in CHANNELS} - {"conv1_1_D_bn"}


def test_files_in_the_published_layout_are_loaded(tmp_path: Path) -> None:
    network = SegNet(3, SLIM).eval()
    torch.save(network.layers.state_dict(), tmp_path / "segnet.pth")
    loaded = SegNet(3, SLIM).eval()
    load_weights(loaded, tmp_path / "segnet.pth")
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(loaded(image), network(image))


def test_encoder_is_vgg16_with_batch_norm() -> None:
    reference = models.vgg16_bn().features.eval()
    network = SegNet(2).eval()
    layers = [layer for layer in reference if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    for own, theirs in zip((n for n in network.layers if "_D" not in n), layers, strict=True):
        network.layers[own].load_state_dict(theirs.state_dict())
    seen: list[Tensor] = []
    network.layers["conv5_3_D"].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    image = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        network(image)
        torch.testing.assert_close(F.max_pool2d(seen[0], 2), reference(image))


def test_values_return_to_the_pixel_that_the_pooling_took() -> None:
    torch.manual_seed(0)
    network = SegNet(2, SLIM).eval()
    inputs: dict[str, Tensor] = {}
    for name in ("conv1_2_bn", "conv1_2_D"):
        network.layers[name].register_forward_hook(
            lambda m, i, o, n=name: inputs.__setitem__(n, o if "bn" in n else i[0])
        )
    network(torch.randn(1, 3, 32, 32))
    before, after = F.relu(inputs["conv1_2_bn"]), inputs["conv1_2_D"]
    blocks = F.max_pool2d(before, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert not after[before < blocks].any()
    assert after.any()


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = SegNet(3, SLIM)
    settle(network)
    victim = Victim(network, classes=list("abc"), mean=(128.0,) * 3, std=(64.0,) * 3)
    assert_gradient_is_right(victim, 32, 48)
