from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor
from torch.utils.data import DataLoader

from tests.helpers import assert_same_weights
from tests.victims.gradients import assert_gradient_is_right, settle
from tests.victims.test_espnetv2 import random_statistics, scores, seven_images, width
from uap.datasets import CamVid, Cityscapes
from uap.networks import DiCENet
from uap.networks.dicenet import DiCE, Downsampler, ShuffleBlock
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims import Victim

PARAMETERS = {  # of the published files
    "s_0.5_city_512x256": 76_348,
    "s_1.0_city_512x256": 283_376,
    "s_1.5_city_512x256": 552_124,
    "s_1.0_pascal_384x384": 283_387,
}


def weights(shared: Path, name: str) -> Path:
    return shared / "victims" / "edgenets" / f"dicenet_{name}.pth"


def published(shared: Path, name: str) -> Victim:
    """Return the network of the data set's file in `configs/victim` with the width and weights of a published file."""
    data = "cityscapes" if "city" in name else "voc"
    config = yaml.safe_load(paths.shipped(f"configs/victim/dicenet_{data}.yaml").read_text())
    settings = config["model"]["victim"]["init_args"]
    arguments = settings.pop("network")["init_args"] | {"width": width(name)}
    return Victim(DiCENet(**arguments), str(weights(shared, name)), **settings)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (96, 32), (41, 9), (1, 1)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert DiCENet(classes=7, width=0.2).eval()(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters_equals_the_published_file(name: str) -> None:
    network = DiCENet(20 if "city" in name else 21, width(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


def test_wrong_arguments_raise_error() -> None:
    with pytest.raises(InputError, match="DiCENet got classes=1, expected 2 or more"):
        DiCENet(1)
    with pytest.raises(InputError, match=r"DiCENet got width=0\.3, expected one of 0\.2, 0\.5"):
        DiCENet(2, 0.3)


def convolved_rows(features: Tensor, filters: Tensor) -> Tensor:
    """Correlate row r of `(N, C, H, W)` with the 3 x 3 filter r over channels and columns, pixel by pixel."""
    channels, width = features.shape[1], features.shape[3]
    padded = F.pad(features, (1, 1, 0, 0, 1, 1))
    result = torch.zeros_like(features)
    for channel in range(channels):
        for column in range(width):
            window = padded[:, channel : channel + 3, :, column : column + 3]
            result[:, channel, :, column] = torch.einsum("ncrw,rcw->nr", window, filters[:, 0])
    return result


def test_unit_convolves_channels_rows_and_columns() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 4, 6, 6, dtype=torch.float64)
    unit = random_statistics(DiCE(4, side=6).double(), x)
    by_height = convolved_rows(x, unit.conv_height.weight)
    transposed = unit.conv_width.weight.transpose(2, 3)  # the published filters have the channels last
    by_width = convolved_rows(x.transpose(2, 3), transposed).transpose(2, 3)
    joint = unit.br_act(torch.cat([unit.conv_channel(x), by_height, by_width], dim=1))
    together = joint.unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)  # the three results of a channel in a row
    fused = unit.weight_avg_layer(together)
    gates = unit.linear_comb_layer(fused.mean((2, 3), keepdim=True))
    torch.testing.assert_close(unit(x), unit.proj_layer(fused) * gates)


@pytest.mark.parametrize("height", [3, 10])
def test_unit_resizes_rows_to_their_number_in_the_training(height: int) -> None:
    torch.manual_seed(0)
    x, side = torch.rand(1, 4, height, 6), 6
    unit = random_statistics(DiCE(4, side), x)
    seen: list[Tensor] = []
    unit.br_act.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    unit(x)
    if height < side:
        rows = F.interpolate(x, (side, 6), mode="bilinear", align_corners=True)
        expected = F.adaptive_avg_pool2d(convolved_rows(rows, unit.conv_height.weight), (height, 6))
    else:
        rows = F.adaptive_avg_pool2d(x, (side, 6))
        expected = F.interpolate(
            convolved_rows(rows, unit.conv_height.weight), (height, 6), mode="bilinear", align_corners=True
        )
    torch.testing.assert_close(seen[0][:, 4:8], expected)


def test_blocks_interleave_their_two_halves() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 8, 6, 6)
    block, downsampler = ShuffleBlock(8, 8, side=6).eval(), Downsampler(8, side=3).eval()
    assert torch.equal(block(x)[:, ::2], x[:, :4])
    torch.testing.assert_close(block(x)[:, 1::2], block.layer_right(x[:, 4:]))
    torch.testing.assert_close(downsampler(x)[:, ::2], downsampler.left_layer(x))
    torch.testing.assert_close(downsampler(x)[:, 1::2], downsampler.right_layer(x))


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = DiCENet(5, 0.2)
    settle(network)
    victim = Victim(network, classes=list("abcde"), mean=(128.0,) * 3, std=(64.0,) * 3, size_multiple=32)
    assert_gradient_is_right(victim, 32, 64)


@pytest.mark.real
@pytest.mark.parametrize("name", PARAMETERS)
def test_published_weights_have_the_names_and_shapes_of_the_network(shared: Path, name: str) -> None:
    own = published(shared, name).network.state_dict()
    theirs = torch.load(weights(shared, name), map_location="cpu", weights_only=True)
    assert own.keys() == theirs.keys()
    assert_same_weights(own, theirs)


@pytest.mark.real
def test_published_voc_network_is_accurate(shared: Path) -> None:
    accuracy, mean_iou = scores(published(shared, "s_1.0_pascal_384x384"), seven_images(shared, size=384))
    assert accuracy > 0.85
    assert mean_iou > 0.48


@pytest.mark.real
@pytest.mark.parametrize("name", [name for name in PARAMETERS if "city" in name])
def test_published_cityscapes_network_is_accurate_on_other_streets(shared: Path, name: str) -> None:
    victim = published(shared, name)
    camvid = CamVid(str(shared / "camvid"), size=(256, 512))
    victim.check(camvid.size)
    assert victim.table.names == (*Cityscapes.table.names, "void")
    chosen = camvid.with_classes(victim.table).subset(range(0, len(camvid), 20))
    accuracy, mean_iou = scores(victim, ((batch["image"], batch["labels"]) for batch in DataLoader(chosen)))
    assert accuracy > 0.7
    assert mean_iou > 0.4
