from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from uap.networks import DRND22
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims import Victim

PUBLISHED = {
    "base.0.0.weight": (16, 3, 7, 7),
    "base.0.1.running_mean": (16,),
    "base.1.0.weight": (16, 16, 3, 3),
    "base.2.0.weight": (32, 16, 3, 3),
    "base.3.0.conv1.weight": (64, 32, 3, 3),
    "base.3.0.downsample.0.weight": (64, 32, 1, 1),
    "base.3.1.bn2.bias": (64,),
    "base.4.0.conv2.weight": (128, 128, 3, 3),
    "base.5.0.downsample.1.running_var": (256,),
    "base.6.0.downsample.0.weight": (512, 256, 1, 1),
    "base.6.1.conv2.weight": (512, 512, 3, 3),
    "base.7.0.weight": (512, 512, 3, 3),
    "base.8.1.weight": (512,),
    "seg.weight": (19, 512, 1, 1),
    "seg.bias": (19,),
    "up.weight": (19, 1, 16, 16),
}
"""Some of the names and shapes in checkpoints of the authors' code (github.com/fyu/drn)."""

STRIDES_AND_DILATIONS = [(1, 1), (1, 1), (2, 1), (2, 1), (2, 1), (1, 2), (1, 4), (1, 2), (1, 1)]
"""The values of each level of the base in the authors' code."""


def random_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    """Return the network in eval mode with batch norms at the statistics of some images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(images)
    return network.eval()


@pytest.mark.parametrize(("height", "width"), [(16, 24), (41, 9)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert DRND22(classes=7).eval()(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_names_and_shapes_equal_the_published_ones() -> None:
    state = DRND22().state_dict()
    assert {name: tuple(state[name].shape) for name in PUBLISHED} == PUBLISHED
    norms = sum(name.endswith("running_mean") for name in state)
    assert norms == 5 + 8 * 2 + 4  # plain convolutions, residual blocks, their fitting convolutions
    assert len(state) == norms * 6 + 3  # a convolution and five tensors of its batch norm; seg and up


def test_number_of_parameters_equals_the_paper() -> None:
    base = sum(parameter.numel() for parameter in DRND22().base.parameters())
    assert base + 512 * 1000 + 1000 == 16_393_752


def test_strides_and_dilations_equal_the_authors_code() -> None:
    levels = [[module for module in level.modules() if isinstance(module, nn.Conv2d)] for level in DRND22().base]
    assert [(level[0].stride[0], level[0].dilation[0]) for level in levels] == STRIDES_AND_DILATIONS
    for level in levels:
        assert len({conv.dilation for conv in level if conv.kernel_size != (1, 1)}) == 1
        assert all(conv.stride == (1, 1) for conv in level[1:] if conv.kernel_size != (1, 1))


def test_last_layer_is_fixed_bilinear_upsampling() -> None:
    up = DRND22(classes=3).up
    scores = torch.randn(2, 3, 5, 6)
    expected = F.interpolate(scores, scale_factor=8, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up(scores)[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])  # zeros stand beyond the border
    assert not up.weight.requires_grad


def test_checkpoint_of_the_authors_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = random_statistics(DRND22(), torch.randn(2, 3, 32, 32))
    names = {name: value for name, value in trained.state_dict().items() if not name.endswith("num_batches_tracked")}
    checkpoint = {"epoch": 250, "arch": "drn_d_22", "state_dict": {f"module.{n}": value for n, value in names.items()}}
    torch.save(checkpoint, tmp_path / "drn.pth.tar")
    victim = Victim(DRND22(), str(tmp_path / "drn.pth.tar"))
    x = torch.randn(1, 3, 16, 24)
    torch.testing.assert_close(victim(x), trained(x))


def test_configuration_has_the_published_mean_and_std_in_grey_levels() -> None:
    config = yaml.safe_load(paths.shipped("configs/victim/drn_d_22_cityscapes.yaml").read_text())
    settings = config["model"]["victim"]["init_args"]
    victim = Victim(DRND22(**settings.pop("network")["init_args"]), **settings)
    mean, std = (0.290101, 0.328081, 0.286964), (0.182954, 0.186566, 0.184475)  # README.md there, of images 0 to 1
    torch.testing.assert_close(victim.mean.flatten() / 255, torch.tensor(mean), rtol=0, atol=1e-5)
    torch.testing.assert_close(victim.std.flatten() / 255, torch.tensor(std), rtol=0, atol=1e-5)
    victim.check((24, 32))
    assert len(victim.table) == 19


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = random_statistics(DRND22(3).double(), torch.randn(2, 3, 16, 16, dtype=torch.float64))
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(x) * weights).sum(), x)
    step = 1e-6
    with torch.no_grad():
        for _ in range(4):
            direction = torch.randn_like(x)
            ahead, behind = ((network(x + sign * step * direction) * weights).sum() for sign in (1, -1))
            assert float((ahead - behind) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_width_scales_all_channels() -> None:
    published, slim = DRND22().state_dict(), DRND22(width=4).state_dict()
    for name in ("base.0.0.weight", "base.3.0.downsample.0.weight", "base.8.1.weight"):
        assert slim[name].shape[0] * 4 == published[name].shape[0]
    assert DRND22(3, 4).eval()(torch.rand(1, 3, 24, 32)).shape == (1, 3, 24, 32)


def test_width_below_1_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        DRND22(3, 0)
    assert caught.value.setting == "width"
