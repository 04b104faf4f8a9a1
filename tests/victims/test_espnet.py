from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from tests.helpers import assert_same_weights
from uap.datasets import CamVid
from uap.networks import ESPNet
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims import Victim


def published(shared: Path, name: str) -> Victim:
    """Return the network of `configs/victim/espnet_<name>.yaml` with the weights of its authors."""
    config = yaml.safe_load(paths.shipped(f"configs/victim/espnet_{name}.yaml").read_text())
    settings = config["model"]["victim"]["init_args"]
    network = ESPNet(**settings.pop("network")["init_args"])
    return Victim(network, str(shared / "victims" / f"espnet_{name}_p2_q8.pth"), **settings)


def images(data: CamVid, every: int) -> list[tuple[Tensor, NDArray[np.uint8]]]:
    chosen = data.items[::every]
    return [
        (torch.from_numpy(data.read_image(i.image).transpose(2, 0, 1).copy()), data.read_labels(i.labels))
        for i in chosen
        if i.labels
    ]


@pytest.mark.parametrize("join_image", [True, False])
@pytest.mark.parametrize(("height", "width"), [(16, 24), (40, 8)])
def test_logits_have_the_size_of_the_image(join_image: bool, height: int, width: int) -> None:
    network = ESPNet(classes=7, p=1, q=1, join_image=join_image).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_layouts_differ_in_the_decoder_at_level_1() -> None:
    camvid, cityscapes = ESPNet(12, join_image=True).state_dict(), ESPNet(20, join_image=False).state_dict()
    assert camvid.keys() == cityscapes.keys()
    assert camvid["conv.conv.weight"].shape == (12, 31, 3, 3)
    assert cityscapes["conv.conv.weight"].shape == (20, 36, 3, 3)


def test_p_and_q_set_the_numbers_of_units() -> None:
    state = ESPNet(5, p=1, q=3).state_dict()
    units = {name.split(".d1.")[0] for name in state if ".d1." in name and "encoder.level" in name}
    assert sorted(unit.removeprefix("encoder.") for unit in units) == [
        "level2.0", "level2_0", "level3.0", "level3.1", "level3.2", "level3_0",
    ]  # fmt: skip


def test_fewer_classes_than_branches_raise_error() -> None:
    with pytest.raises(InputError, match="ESPNet got classes=4, expected 5 or more"):
        ESPNet(4)


def test_images_of_a_batch_are_independent() -> None:
    torch.manual_seed(0)
    network = ESPNet(5, p=1, q=1).eval()
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network(x)[1:], network(x[1:]))


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    network = ESPNet(5, p=1, q=1).double()
    network(torch.randn(4, 3, 16, 16, dtype=torch.float64))
    network.eval()
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 5, 16, 16, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(x) * weights).sum(), x)
    step = 1e-7
    with torch.no_grad():
        for _ in range(8):
            direction = torch.randn_like(x)
            ahead, behind = ((network(x + sign * step * direction) * weights).sum() for sign in (1, -1))
            assert float((ahead - behind) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


@pytest.mark.real
@pytest.mark.parametrize("name", ["camvid", "cityscapes"])
def test_published_weights_have_the_names_and_shapes_of_the_network(shared: Path, name: str) -> None:
    victim = published(shared, name)
    file = torch.load(shared / "victims" / f"espnet_{name}_p2_q8.pth", map_location="cpu", weights_only=True)
    own = {key: value for key, value in victim.network.state_dict().items() if not key.endswith("num_batches_tracked")}
    theirs = {key.removeprefix("module."): value for key, value in file.items()}
    assert own.keys() == {key for key in theirs if not key.endswith("num_batches_tracked")}
    assert_same_weights(own, theirs)


@pytest.mark.real
def test_published_camvid_network_is_accurate_on_camvid(shared: Path) -> None:
    victim = published(shared, "camvid")
    data = CamVid(str(shared / "camvid"))
    victim.check(data.size)
    assert victim.table.names == (*data.table.names, "void")
    right = counted = 0
    for image, labels in images(data, every=13):
        prediction = victim.predict(image[None])[0].numpy()
        right += int((prediction == labels)[labels != 255].sum())
        counted += int((labels != 255).sum())
    assert right / counted > 0.88


@pytest.mark.real
def test_published_cityscapes_network_predicts_the_road(shared: Path) -> None:
    victim = published(shared, "cityscapes")
    data = CamVid(str(shared / "camvid"), size=(384, 512))
    for image, _ in images(data, every=34):
        prediction = victim.predict(image[None])[0]
        assert int(prediction[-40:-10, 236:276].flatten().mode().values) == victim.table.names.index("road")
