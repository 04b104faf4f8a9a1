from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.networks import ICNet
from uap.utils.errors import InputError
from uap.victims import Victim
from uap.victims.weights import load_weights

Layer = tuple[int, int, int, int, int]
"""Input channels, output channels, kernel size, stride and dilation of a convolution."""


def stage(number: int, blocks: int, inputs: int, inner: int, stride: int, dilation: int) -> dict[str, Layer]:
    """Layers of a stage of the authors' Caffe network (icnet_cityscapes_bnnomerge.prototxt)."""
    found: dict[str, Layer] = {f"conv{number}_1_1x1_proj": (inputs, 4 * inner, 1, stride, 1)}
    for i in range(1, blocks + 1):
        found[f"conv{number}_{i}_1x1_reduce"] = (inputs, inner, 1, stride if i == 1 else 1, 1)
        found[f"conv{number}_{i}_3x3"] = (inner, inner, 3, 1, dilation)
        found[f"conv{number}_{i}_1x1_increase"] = (inner, 4 * inner, 1, 1, 1)
        inputs = 4 * inner
    return found


PUBLISHED: dict[str, Layer] = {
    **{"conv1_1_3x3_s2": (3, 32, 3, 2, 1), "conv1_2_3x3": (32, 32, 3, 1, 1), "conv1_3_3x3": (32, 64, 3, 1, 1)},
    **stage(2, 3, 64, 32, 1, 1),
    **stage(3, 4, 128, 64, 2, 1),
    **stage(4, 6, 256, 128, 1, 2),
    **stage(5, 3, 512, 256, 1, 4),
    **{"conv5_4_k1": (1024, 256, 1, 1, 1), "conv_sub4": (256, 128, 3, 1, 2), "conv_sub2": (128, 128, 3, 1, 2)},
    **{"conv3_1_sub2_proj": (256, 128, 1, 1, 1), "conv3_sub1_proj": (64, 128, 1, 1, 1)},
    **{"conv1_sub1": (3, 32, 3, 2, 1), "conv2_sub1": (32, 32, 3, 2, 1), "conv3_sub1": (32, 64, 3, 2, 1)},
    "conv6_cls": (128, 19, 1, 1, 1),
}


def settled(width: int = 2) -> ICNet:
    torch.manual_seed(0)
    network = ICNet(3, width)
    settle(network)
    return network


@pytest.mark.parametrize(("height", "width"), [(33, 65), (64, 32), (41, 9), (1, 1)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert ICNet(3, 2).eval()(torch.rand(2, 3, height, width)).shape == (2, 3, height, width)


def test_layers_have_the_published_names_and_shapes() -> None:
    network = ICNet()
    found = {
        name: (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.dilation[0])
        for name, m in network.layers.items()
        if isinstance(m, nn.Conv2d)
    }
    assert found == PUBLISHED
    norms = {name: m.num_features for name, m in network.layers.items() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {f"{name}/bn": layer[1] for name, layer in PUBLISHED.items() if name != "conv6_cls"}
    biases = [name for name, m in network.layers.items() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert biases == ["conv6_cls"]


def test_files_in_the_published_layout_are_loaded(tmp_path: Path) -> None:
    network = settled()
    scores = {f"conv6_sub{n}.weight": torch.zeros(3, 8, 1, 1) for n in (2, 4)}  # only the training needs them
    torch.save(network.layers.state_dict() | scores, tmp_path / "icnet.pth")
    loaded = ICNet(3, 2).eval()
    load_weights(loaded, tmp_path / "icnet.pth")
    image = torch.rand(1, 3, 33, 41)
    torch.testing.assert_close(loaded(image), network(image))


def zoom(x: Tensor, factor: float) -> Tensor:
    """Caffe's Interp layer, whose corners stay where they are."""
    size = [round((side - 1) * factor) + 1 for side in x.shape[2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def test_network_equals_the_published_layers() -> None:
    network = settled().double()
    state = network.layers.state_dict()

    def convolve(x: Tensor, name: str) -> Tensor:
        *_, size, stride, dilation = PUBLISHED[name]
        padding = dilation if size == 3 else 0
        x = F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding, dilation)
        if f"{name}/bn.weight" not in state:
            return x
        mean, variance, slope, bias = (
            state[f"{name}/bn.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, slope, bias)

    def block(x: Tensor, name: str) -> Tensor:
        y = F.relu(convolve(F.relu(convolve(x, f"{name}_1x1_reduce")), f"{name}_3x3"))
        shortcut = convolve(x, f"{name}_1x1_proj") if name[-1] == "1" else x
        return F.relu(shortcut + convolve(y, f"{name}_1x1_increase"))

    image = torch.randn(1, 3, 1025, 193, dtype=torch.float64)  # the published height: 33 rows reach the pooling
    x = zoom(image, 0.5)
    for name in ("conv1_1_3x3_s2", "conv1_2_3x3", "conv1_3_3x3"):
        x = F.relu(convolve(x, name))
    x = F.max_pool2d(x, 3, 2, padding=1)
    for name in ("conv2_1", "conv2_2", "conv2_3", "conv3_1"):
        x = block(x, name)
    sub2, x = x, zoom(x, 0.5)
    for number, count in ((3, 4), (4, 6), (5, 3)):
        for i in range(2 if number == 3 else 1, count + 1):
            x = block(x, f"conv{number}_{i}")
    assert x.shape[2:] == (33, 7)
    pooled = x.clone()
    for kernel, step in (((33, 7), (33, 7)), ((17, 4), (16, 3)), ((13, 3), (10, 2)), ((8, 2), (5, 1))):
        pooled += F.interpolate(F.avg_pool2d(x, kernel, step), (33, 7), mode="bilinear", align_corners=True)
    x = F.relu(convolve(pooled, "conv5_4_k1"))
    x = F.relu(convolve(zoom(x, 2), "conv_sub4") + convolve(sub2, "conv3_1_sub2_proj"))
    sub1 = image
    for name in ("conv1_sub1", "conv2_sub1", "conv3_sub1"):
        sub1 = F.relu(convolve(sub1, name))
    x = F.relu(convolve(zoom(x, 2), "conv_sub2") + convolve(sub1, "conv3_sub1_proj"))
    expected = zoom(convolve(zoom(x, 2), "conv6_cls"), 4)
    assert expected.std() > 0
    torch.testing.assert_close(network(image), expected)


def test_no_window_of_the_pooling_is_outside_a_small_map() -> None:
    assert ICNet(3, 2).eval()(torch.rand(1, 3, 97, 225)).isfinite().all()  # 4 x 8 values are pooled


def test_width_below_1_is_refused() -> None:
    with pytest.raises(InputError, match="width=0, expected 1 or more"):
        ICNet(3, 0)


def test_gradient_equals_finite_differences() -> None:
    victim = Victim(settled(4), classes=list("abc"), mean=(128.0,) * 3, std=(64.0,) * 3)
    assert_gradient_is_right(victim, 33, 41)
