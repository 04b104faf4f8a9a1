from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.networks import PSPNet
from uap.utils.errors import InputError
from uap.victims import Victim
from uap.victims.weights import load_weights

Layer = tuple[int, int, int, int, int]
"""Input channels, output channels, kernel size, stride and dilation of a convolution."""

NORM = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "downsample.0": "downsample.1"}


def bottlenecks(number: int, blocks: int, inputs: int, inner: int, stride: int, dilation: int) -> dict[str, Layer]:
    """Convolutions of a stage of github.com/hszhao/semseg (model/resnet.py, model/pspnet.py)."""
    found: dict[str, Layer] = {f"layer{number}.0.downsample.0": (inputs, 4 * inner, 1, stride, 1)}
    for i in range(blocks):
        found[f"layer{number}.{i}.conv1"] = (inputs, inner, 1, 1, 1)
        found[f"layer{number}.{i}.conv2"] = (inner, inner, 3, stride if i == 0 else 1, dilation)
        found[f"layer{number}.{i}.conv3"] = (inner, 4 * inner, 1, 1, 1)
        inputs = 4 * inner
    return found


def published(third: int, width: int = 64, classes: int = 19) -> dict[str, Layer]:
    w = width
    return {
        **{"layer0.0": (3, w, 3, 2, 1), "layer0.3": (w, w, 3, 1, 1), "layer0.6": (w, 2 * w, 3, 1, 1)},
        **bottlenecks(1, 3, 2 * w, w, 1, 1),
        **bottlenecks(2, 4, 4 * w, 2 * w, 2, 1),
        **bottlenecks(3, third, 8 * w, 4 * w, 1, 2),
        **bottlenecks(4, 3, 16 * w, 8 * w, 1, 4),
        **{f"ppm.features.{i}.1": (32 * w, 8 * w, 1, 1, 1) for i in range(4)},
        **{"cls.0": (64 * w, 8 * w, 3, 1, 1), "cls.4": (8 * w, classes, 1, 1, 1)},
    }


def norm_of(name: str) -> str:
    """Name of the BatchNorm behind a convolution."""
    for end, norm in NORM.items():
        if name.endswith(end):
            return name.removesuffix(end) + norm
    head, _, number = name.rpartition(".")
    return f"{head}.{int(number) + 1}"


def settled(width: int = 2) -> PSPNet:
    torch.manual_seed(0)
    network = PSPNet(3, 50, width)
    settle(network)
    return network


@pytest.mark.parametrize(("depth", "third"), [(50, 6), (101, 23)])
def test_layers_have_the_published_names_and_shapes(depth: int, third: int) -> None:
    with torch.device("meta"):
        network = PSPNet(depth=depth)
    found = {
        name: (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.dilation[0])
        for name, m in network.named_modules()
        if isinstance(m, nn.Conv2d)
    }
    layers = published(third)
    assert found == layers
    norms = {name: m.num_features for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {norm_of(name): layer[1] for name, layer in layers.items() if name != "cls.4"}
    biases = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert biases == ["cls.4"]


def test_files_in_the_published_layout_are_loaded(tmp_path: Path) -> None:
    network = settled()
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 200, "state_dict": state | {"module.aux.4.bias": torch.zeros(3)}}, tmp_path / "psp.pth")
    loaded = PSPNet(3, 50, 2).eval()
    load_weights(loaded, tmp_path / "psp.pth")
    image = torch.rand(1, 3, 33, 41)
    torch.testing.assert_close(loaded(image), network(image))


def test_network_equals_the_published_layers() -> None:
    network = settled().double()
    state, layers = network.state_dict(), published(6, 2, 3)

    def convolve(x: Tensor, name: str) -> Tensor:
        *_, size, stride, dilation = layers[name]
        x = F.conv2d(x, state[f"{name}.weight"], None, stride, dilation * (size // 2), dilation)
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{norm_of(name)}.{kind}"] for kind in kinds))

    image = torch.randn(1, 3, 65, 97, dtype=torch.float64)
    x = image
    for name in ("layer0.0", "layer0.3", "layer0.6"):
        x = F.relu(convolve(x, name))
    x = F.max_pool2d(x, 3, 2, padding=1)
    for number, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for i in range(blocks):
            block = f"layer{number}.{i}"
            y = F.relu(convolve(F.relu(convolve(x, f"{block}.conv1")), f"{block}.conv2"))
            x = F.relu(convolve(y, f"{block}.conv3") + (convolve(x, f"{block}.downsample.0") if i == 0 else x))
    assert x.shape[2:] == (9, 13)
    parts = [x]
    for i, bins in enumerate((1, 2, 3, 6)):
        y = F.relu(convolve(F.adaptive_avg_pool2d(x, bins), f"ppm.features.{i}.1"))
        parts.append(F.interpolate(y, (9, 13), mode="bilinear", align_corners=True))
    x = F.relu(convolve(torch.cat(parts, 1), "cls.0"))
    x = F.conv2d(x, state["cls.4.weight"], state["cls.4.bias"])
    expected = F.interpolate(x, (65, 97), mode="bilinear", align_corners=True)
    assert expected.std() > 0
    torch.testing.assert_close(network(image), expected)


@pytest.mark.parametrize(("height", "width"), [(33, 65), (41, 9), (1, 1)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert PSPNet(3, 50, 2).eval()(torch.rand(2, 3, height, width)).shape == (2, 3, height, width)


@pytest.mark.parametrize(("depth", "width"), [(18, 64), (50, 0)])
def test_other_sizes_are_refused(depth: int, width: int) -> None:
    with pytest.raises(InputError, match=f"depth={depth} and width={width}, expected a depth of 50, 101, 152"):
        PSPNet(3, depth, width)


def test_gradient_equals_finite_differences() -> None:
    victim = Victim(settled(), classes=list("abc"), mean=(128.0,) * 3, std=(64.0,) * 3)
    assert_gradient_is_right(victim, 33, 41)
