from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.networks import DLA34
from uap.utils.errors import InputError
from uap.victims import Victim

Shapes = dict[str, tuple[int, ...]]


def layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape}


def norm(name: str, channels: int) -> Shapes:
    return {f"{name}.{kind}": (channels,) for kind in ("weight", "bias", "running_mean", "running_var")}


def sequence(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    return layer(f"{name}.0", outputs, inputs, kernel, kernel) | norm(f"{name}.1", outputs)


def tree(name: str, inputs: int, outputs: int, root: int) -> Shapes:
    shapes: Shapes = {}
    for part, first in (("tree1", inputs), ("tree2", outputs)):
        shapes |= layer(f"{name}.{part}.conv1", outputs, first, 3, 3) | norm(f"{name}.{part}.bn1", outputs)
        shapes |= layer(f"{name}.{part}.conv2", outputs, outputs, 3, 3) | norm(f"{name}.{part}.bn2", outputs)
    shapes |= layer(f"{name}.root.conv", outputs, root, 1, 1) | norm(f"{name}.root.bn", outputs)
    return shapes | (sequence(f"{name}.project", inputs, outputs, 1) if inputs != outputs else {})


def aggregation(name: str, outputs: int, deeper: int, count: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(1, count):
        shapes |= sequence(f"{name}.proj_{i}", deeper, outputs, 1) | layer(f"{name}.up_{i}", outputs, 1, 4, 4)
        shapes |= sequence(f"{name}.node_{i}", 2 * outputs, outputs, 3)
    return shapes


UNUSED = {
    **layer("base.fc", 1000, 512, 1, 1),
    "base.fc.bias": (1000,),
    **sequence("base.level3.project", 64, 128, 1),
    **sequence("base.level4.project", 128, 256, 1),
}

PUBLISHED = {
    **sequence("base.base_layer", 3, 16, 7),
    **sequence("base.level0", 16, 16, 3),
    **sequence("base.level1", 16, 32, 3),
    **tree("base.level2", 32, 64, 128),
    **tree("base.level3.tree1", 64, 128, 256),
    **tree("base.level3.tree2", 128, 128, 448),  # two blocks, the first tree, and the pooled input of the level
    **tree("base.level4.tree1", 128, 256, 512),
    **tree("base.level4.tree2", 256, 256, 896),
    **tree("base.level5", 256, 512, 1280),
    **aggregation("dla_up.ida_0", 256, 512, 2),
    **aggregation("dla_up.ida_1", 128, 256, 3),
    **aggregation("dla_up.ida_2", 64, 128, 4),
    **aggregation("dla_up.ida_3", 32, 64, 5),
    **layer("fc.0", 19, 32, 1, 1),
    "fc.0.bias": (19,),
    **layer("up", 19, 1, 4, 4),
}
"""All names and shapes in state dictionaries of the authors' code (github.com/ucbdrive/dla, `dla34up`, 19 classes)."""


def test_names_and_shapes_equal_the_published_ones() -> None:
    state = DLA34().state_dict()
    assert {n: tuple(v.shape) for n, v in state.items() if not n.endswith("num_batches_tracked")} == PUBLISHED


def test_numbers_of_parameters_equal_the_papers() -> None:
    network = DLA34()
    unused = sum(torch.Size(shape).numel() for name, shape in UNUSED.items() if "running" not in name)
    base, whole = (sum(p.numel() for p in part.parameters()) + unused for part in (network.base, network))
    assert round(base / 1e6, 1) == 15.8  # table 1 of Yu et al., with the classifier for ImageNet
    assert round(whole / 1e6, 1) == 18.1  # table 1 of Xiao et al.


def test_published_file_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = DLA34(width=2)
    settle(trained)
    state = trained.state_dict() | {name: torch.zeros(shape) for name, shape in UNUSED.items()}
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "dla.pth")
    x = torch.randn(1, 3, 32, 64)
    victim = Victim(DLA34(width=2), str(tmp_path / "dla.pth"))
    torch.testing.assert_close(victim(x), trained.eval()(x), rtol=1e-4, atol=1e-4)


def test_logits_have_the_size_of_the_image() -> None:
    assert DLA34(7, 2).eval()(torch.rand(2, 3, 64, 32)).shape == (2, 7, 64, 32)


def test_levels_have_the_published_sizes() -> None:
    features = DLA34(7, 2).eval().base(torch.rand(1, 3, 64, 96))
    assert [tuple(x.shape[1:]) for x in features] == [(4, 32, 48), (8, 16, 24), (16, 8, 12), (32, 4, 6), (64, 2, 3)]


def conv(state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)


def normed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias)


def seq(state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1) -> Tensor:
    return normed(state, f"{name}.1", conv(state, f"{name}.0", x, stride))


def block(state: dict[str, Tensor], name: str, x: Tensor, residual: Tensor, stride: int) -> Tensor:
    x = normed(state, f"{name}.bn1", conv(state, f"{name}.conv1", x, stride)).relu()
    return (normed(state, f"{name}.bn2", conv(state, f"{name}.conv2", x)) + residual).relu()


def small_tree(state: dict[str, Tensor], name: str, x: Tensor, stride: int, *more: Tensor) -> Tensor:
    bottom = F.max_pool2d(x, stride)
    residual = seq(state, f"{name}.project", bottom) if f"{name}.project.0.weight" in state else bottom
    first = block(state, f"{name}.tree1", x, residual, stride)
    second = block(state, f"{name}.tree2", first, first, 1)
    root = conv(state, f"{name}.root.conv", torch.cat([second, first, *more], 1))
    return normed(state, f"{name}.root.bn", root).relu()


def test_logits_equal_a_transcription_of_the_published_graph() -> None:
    """The graph is written out level by level, with the names of the state dictionary."""
    torch.manual_seed(0)
    network = DLA34(3, 2).double()
    settle_double(network)
    s, image = network.state_dict(), torch.randn(2, 3, 64, 96, dtype=torch.float64)
    x = seq(s, "base.level0", seq(s, "base.base_layer", image).relu()).relu()
    levels = [seq(s, "base.level1", x, 2).relu()]
    levels.append(small_tree(s, "base.level2", levels[-1], 2))
    for name in ("base.level3", "base.level4"):
        first = small_tree(s, f"{name}.tree1", levels[-1], 2)
        levels.append(small_tree(s, f"{name}.tree2", first, 1, F.max_pool2d(levels[-1], 2), first))
    levels.append(small_tree(s, "base.level5", levels[-1], 2, F.max_pool2d(levels[-1], 2)))
    rows = list(levels)
    for i in range(4):
        start = 3 - i
        above, merged = rows[start], []
        for k, below in enumerate(rows[start + 1 :], 1):
            name = f"dla_up.ida_{i}"
            projected = seq(s, f"{name}.proj_{k}", below).relu()
            weight = s[f"{name}.up_{k}.weight"]
            larger = F.conv_transpose2d(projected, weight, stride=2, padding=1, groups=len(weight))
            above = seq(s, f"{name}.node_{k}", torch.cat([above, larger], 1)).relu()
            merged.append(above)
        rows[start + 1 :] = merged
    expected = F.conv_transpose2d(conv(s, "fc.0", rows[-1]), s["up.weight"], stride=2, padding=1, groups=3)
    torch.testing.assert_close(network(image), expected)


def settle_double(network: nn.Module) -> None:
    network.float()
    settle(network)
    network.double()


def test_last_layer_is_fixed_and_the_other_upsampling_is_trained() -> None:
    trained = {name for name, value in DLA34(3, 2).named_parameters() if ".up_" in name and value.requires_grad}
    assert len(trained) == 1 + 2 + 3 + 4
    assert not DLA34(3, 2).up.weight.requires_grad


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = DLA34(width=4)
    settle(network)
    assert_gradient_is_right(Victim(network, size_multiple=32), 32, 64)


def test_width_below_1_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        DLA34(3, 0)
    assert caught.value.setting == "width"
