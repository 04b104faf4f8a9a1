from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.helpers import assert_same_weights
from uap.datasets import CamVid, Cityscapes, pictures
from uap.metrics.iou import ClassIoU
from uap.networks import ESPNetv2
from uap.networks.espnetv2 import EESP, Downsampler, PyramidPool
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims import Victim

Network = TypeVar("Network", bound=nn.Module)

PARAMETERS = {  # of the published files
    "s_0.5_city_512x256": 80_342,
    "s_1.0_city_512x256": 234_010,
    "s_2.0_city_512x256": 789_242,
    "s_0.5_pascal_384x384": 80_353,
    "s_1.0_pascal_256x256": 234_021,
    "s_1.0_pascal_384x384": 234_021,
    "s_2.0_pascal_384x384": 789_253,
}


def weights(shared: Path, name: str) -> Path:
    return shared / "victims" / "edgenets" / f"espnetv2_{name}.pth"


def width(name: str) -> float:
    return float(name.split("_")[1])


def published(shared: Path, name: str) -> Victim:
    """Return the network of the data set's file in `configs/victim` with the width and weights of a published file."""
    data = "cityscapes" if "city" in name else "voc"
    config = yaml.safe_load(paths.shipped(f"configs/victim/espnetv2_{data}.yaml").read_text())
    settings = config["model"]["victim"]["init_args"]
    arguments = settings.pop("network")["init_args"] | {"width": width(name)}
    return Victim(ESPNetv2(**arguments), str(weights(shared, name)), **settings)


def seven_images(shared: Path, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images in `voc7`, resized to `(1, 3, size, size)`, with labels of the original size `(1, H, W)`."""
    for path in sorted((shared / "voc7").glob("*_labels.png")):
        image = pictures.read_image(path.with_name(path.name.replace("_labels", "")))
        resized = pictures.resize_image(image, (size, size), "pil").transpose(2, 0, 1)
        yield torch.tensor(resized)[None], torch.tensor(pictures.read_mask(path))[None]


def scores(victim: Victim, images: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return the share of correct pixels and the mean IoU of the classes that the labels contain."""
    iou = ClassIoU(len(victim.table))
    for image, labels in images:
        with torch.no_grad():
            logits = F.interpolate(victim(image), labels.shape[-2:], mode="bilinear", align_corners=False)
        iou.update(logits.argmax(1), labels)
    counts = iou.total()
    return float(counts.diagonal().sum() / counts.sum()), float(iou.compute().nanmean())


def random_statistics(network: Network, images: Tensor) -> Network:
    """Return the network in eval mode with batch norms at the statistics of some images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(images)
    return network.eval()


@pytest.mark.parametrize(("height", "width"), [(32, 64), (96, 32), (41, 9), (1, 1)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert ESPNetv2(classes=7, width=0.5).eval()(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters_equals_the_published_file(name: str) -> None:
    network = ESPNetv2(20 if "city" in name else 21, width(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


def test_width_multiplies_the_channels_of_the_encoder() -> None:
    for factor, channels in {0.5: [16, 32, 64, 128], 1.0: [32, 64, 128, 256], 2.0: [32, 128, 256, 512]}.items():
        features = ESPNetv2(2, factor).eval().base_net(torch.rand(1, 3, 32, 32))
        assert [level.shape[1] for level in features] == channels


def test_wrong_arguments_raise_error() -> None:
    with pytest.raises(InputError, match="ESPNetv2 got classes=1, expected 2 or more"):
        ESPNetv2(1)
    for factor in (0, 0.75, 1.1, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"expected 0\.5, or 1\.0 and more in steps of 0\.25\."):
            ESPNetv2(2, factor)


def test_dilations_shrink_with_the_size_of_the_features() -> None:
    dilations: dict[str, list[int]] = {}
    for name, module in ESPNetv2(2, 0.5).base_net.named_modules():
        unit, branch, _ = name.partition(".spp_dw.")
        if branch and isinstance(module, nn.Conv2d):
            dilations.setdefault(unit, []).append(module.dilation[0])
    assert len(dilations) == 13
    for unit, steps in dilations.items():
        assert steps == ([1, 1, 2, 3] if unit.startswith("level4.") else [1, 2, 3, 4])


def test_spatial_pyramid_fuses_running_sums_and_adds_its_input() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 16, 12, 12)
    unit = random_statistics(EESP(16, 16, (1, 2, 3, 4)), x)
    reduced = unit.proj_1x1(x)
    branches = [branch(reduced) for branch in unit.spp_dw]
    joined = torch.cat([sum(branches[: i + 1], torch.zeros(())) for i in range(4)], dim=1)
    expected = unit.module_act(x + unit.conv_1x1_exp(unit.br_after_cat(joined)))
    torch.testing.assert_close(unit(x), expected)


def test_downsampler_averages_its_input_and_adds_the_image() -> None:
    torch.manual_seed(0)
    x, image = torch.rand(2, 16, 12, 12), torch.rand(2, 3, 6, 6)
    unit = Downsampler(16, 32).eval()
    joined = torch.cat([F.avg_pool2d(x, 3, 2, 1), unit.eesp(x)], dim=1)
    torch.testing.assert_close(unit(x, image), unit.act(joined + unit.inp_reinf(image)))


def test_pyramid_pool_has_sides_of_5_or_more() -> None:
    sides: list[tuple[int, ...]] = []
    pool = PyramidPool(6, 4, 8).eval()
    for stage in pool.stages:
        stage.register_forward_pre_hook(lambda module, inputs: sides.append(tuple(inputs[0].shape[2:])))
    assert pool(torch.rand(1, 6, 7, 64)).shape == (1, 8, 7, 64)
    assert sides == [(14, 128), (11, 96), (7, 64), (5, 32), (5, 7)]


def test_images_of_a_batch_are_independent() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    network = random_statistics(ESPNetv2(5, 0.5).double(), x)
    torch.testing.assert_close(network(x)[1:], network(x[1:]))


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = random_statistics(ESPNetv2(5, 0.5).double(), torch.randn(4, 3, 32, 32, dtype=torch.float64))
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 5, 32, 32, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(x) * weights).sum(), x)
    step = 1e-7
    with torch.no_grad():
        for _ in range(4):
            direction = torch.randn_like(x)
            ahead, behind = ((network(x + sign * step * direction) * weights).sum() for sign in (1, -1))
            assert float((ahead - behind) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


@pytest.mark.real
@pytest.mark.parametrize("name", PARAMETERS)
def test_published_weights_have_the_names_and_shapes_of_the_network(shared: Path, name: str) -> None:
    own = published(shared, name).network.state_dict()
    theirs = torch.load(weights(shared, name), map_location="cpu", weights_only=True)
    assert own.keys() == theirs.keys()
    assert_same_weights(own, theirs)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "accuracy", "mean_iou"),  # measured with the modules of the authors
    [("s_1.0_pascal_384x384", 0.884, 0.575), ("s_2.0_pascal_384x384", 0.908, 0.607)],
)
def test_published_voc_network_is_as_accurate_as_with_the_modules_of_its_authors(
    shared: Path, name: str, accuracy: float, mean_iou: float
) -> None:
    measured = scores(published(shared, name), seven_images(shared, size=384))
    assert measured == pytest.approx((accuracy, mean_iou), abs=6e-4)


@pytest.mark.real
@pytest.mark.parametrize("name", ["s_0.5_pascal_384x384", "s_1.0_pascal_256x256"])
def test_smaller_published_voc_network_is_accurate(shared: Path, name: str) -> None:
    size = int(name.rpartition("x")[2])
    accuracy, mean_iou = scores(published(shared, name), seven_images(shared, size))
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
    assert accuracy > 0.75
    assert mean_iou > 0.4
