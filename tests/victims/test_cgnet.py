from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.helpers import assert_same_weights
from uap.datasets import CamVid
from uap.metrics.iou import ClassIoU
from uap.networks import CGNet
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims import Victim


def published(shared: Path) -> Victim:
    """Return the network of `configs/victim/cgnet_camvid.yaml` with the weights of its authors."""
    config = yaml.safe_load(paths.shipped("configs/victim/cgnet_camvid.yaml").read_text())
    settings = config["model"]["victim"]["init_args"]
    network = CGNet(**settings.pop("network")["init_args"])
    return Victim(network, str(shared / "victims" / "cgnet_camvid_m3_n21.pth"), **settings)


def random_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    """Return the network in eval mode with batch norms at the statistics of some images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(images)
    return network.eval()


@pytest.mark.parametrize(("height", "width"), [(16, 24), (41, 9), (1, 1)])
def test_logits_have_the_size_of_the_image(height: int, width: int) -> None:
    assert CGNet(classes=7, m=2, n=2).eval()(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_m_and_n_set_the_numbers_of_blocks() -> None:
    names = CGNet(m=2, n=4).state_dict()
    blocks = {name.split(".F_loc.")[0] for name in names if ".F_loc." in name}
    assert sorted(blocks) == ["level2.0", "level2_0", "level3.0", "level3.1", "level3.2", "level3_0"]


def test_surrounding_context_is_dilated_by_2_and_then_by_4() -> None:
    dilations = {
        name.partition(".")[0]: module.dilation
        for name, module in CGNet(m=2, n=2).named_modules()
        if isinstance(module, nn.Conv2d) and ".F_sur" in name
    }
    assert dilations == {"level2_0": (2, 2), "level2": (2, 2), "level3_0": (4, 4), "level3": (4, 4)}


def test_number_of_parameters_equals_the_paper() -> None:
    assert sum(parameter.numel() for parameter in CGNet().parameters()) == 496_306


def test_number_of_blocks_below_1_raises_error() -> None:
    with pytest.raises(InputError, match=r"CGNet got m=3 and n=0, expected 1 or more of each\."):
        CGNet(n=0)


def test_images_of_a_batch_are_independent() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 16, 16)
    network = random_statistics(CGNet(5, m=2, n=2), x)
    torch.testing.assert_close(network(x)[1:], network(x[1:]))


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = random_statistics(CGNet(5, m=2, n=2).double(), torch.randn(4, 3, 16, 16, dtype=torch.float64))
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 5, 16, 16, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(x) * weights).sum(), x)
    step = 1e-6
    with torch.no_grad():
        for _ in range(4):
            direction = torch.randn_like(x)
            ahead, behind = ((network(x + sign * step * direction) * weights).sum() for sign in (1, -1))
            assert float((ahead - behind) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


@pytest.mark.real
def test_published_weights_have_the_names_and_shapes_of_the_network(shared: Path) -> None:
    own = published(shared).network.state_dict()
    path = shared / "victims" / "cgnet_camvid_m3_n21.pth"
    theirs = torch.load(path, map_location="cpu", weights_only=True)["model"]
    assert own.keys() == theirs.keys()
    assert_same_weights(own, theirs)


@pytest.mark.real
def test_published_network_is_accurate_on_camvid(shared: Path) -> None:
    victim = published(shared)
    data = CamVid(str(shared / "camvid"))
    victim.check(data.size)
    assert victim.table == data.table
    iou = ClassIoU(len(data.table))
    for batch in DataLoader(data.subset(range(0, len(data), 10))):
        iou.update(victim.predict(batch["image"]), batch["labels"])
    assert iou.compute().nanmean() > 0.85  # its authors trained it on these images too
