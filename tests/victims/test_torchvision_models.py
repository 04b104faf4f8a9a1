from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.segmentation import DeepLabV3_MobileNet_V3_Large_Weights, LRASPP_MobileNet_V3_Large_Weights

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.utils.class_tables import CAMVID, VOC
from uap.utils.errors import InputError
from uap.victims import Torchvision

DEEPLAB, LRASPP = "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"
IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


def build(name: str, outputs: int, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = models.get_model(name, weights=None, weights_backbone=None, num_classes=outputs, **options)
    return network.eval()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty download folder of torch, and return it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_published_weights_set_preprocessing_and_classes(hub: Path) -> None:
    weights = DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
    published = build(DEEPLAB, 21, aux_loss=True)
    torch.save(published.state_dict(), hub / Path(weights.url).name)
    victim = Torchvision(DEEPLAB)
    assert victim.table == VOC
    assert not any("aux" in name for name, _ in victim.named_parameters())
    image = torch.randint(0, 256, (1, 3, 64, 48)).float()
    seen = models.get_model_weights(DEEPLAB).DEFAULT.transforms(resize_size=None)(image.to(torch.uint8))
    torch.testing.assert_close(victim(image), published(seen)["out"], rtol=1e-3, atol=1e-4)


def test_file_is_loaded_without_its_auxiliary_head(tmp_path: Path) -> None:
    network = build(DEEPLAB, 12, aux_loss=True)
    torch.save({"model": network.state_dict()}, tmp_path / "deeplab.pth")
    victim = Torchvision(DEEPLAB, str(tmp_path / "deeplab.pth"), [*CAMVID.names, "void"])
    image = torch.randint(0, 256, (2, 3, 32, 48)).float()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)
    torch.testing.assert_close(victim(image), network((image - mean) / std)["out"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [DEEPLAB, LRASPP])
def test_gradients_of_networks_equal_finite_differences(name: str) -> None:
    torch.manual_seed(0)
    victim = Torchvision(name, None, list("abc"))
    settle(victim.network)
    victim.check((40, 56))
    assert_gradient_is_right(victim, 40, 56)


def test_other_settings_reach_the_adapter() -> None:
    victim = Torchvision(LRASPP, None, list("abc"), input_size=(64, 64), size_multiple=32)
    assert victim.input_size == (64, 64)
    assert victim(torch.zeros(1, 3, 20, 30)).shape == (1, 3, 20, 30)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("unet", None, ["a"]), "no segmentation network unet in torchvision.*deeplabv3_"),
        ((LRASPP, "IMAGENET", ["a"]), "no weights IMAGENET for lraspp.* COCO_WITH_VOC_LABELS_V1"),
        ((LRASPP, None, None), "victim.classes is not set.*lraspp_mobilenet_v3_large"),
    ],
)
def test_unknown_networks_and_weights_are_named(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Torchvision(*arguments)


def test_weights_of_another_number_of_classes_raise_error(tmp_path: Path) -> None:
    torch.save(build(LRASPP, 5).state_dict(), tmp_path / "lraspp.pth")
    with pytest.raises(InputError, match=r"another network than LRASPP .* have another shape \(classifier"):
        Torchvision(LRASPP, str(tmp_path / "lraspp.pth"), list("abc"))


def test_failed_download_raises_error(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1

    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(InputError, match=rf"could not be downloaded \(no route to host\)\. Download {weights.url}"):
        Torchvision(LRASPP)


def test_download_is_not_unpickled(hub: Path) -> None:
    torch.save(build(LRASPP, 21), hub / Path(LRASPP_MobileNet_V3_Large_Weights.DEFAULT.url).name)
    with pytest.raises(InputError, match=r"could not be downloaded \(Weights only load failed"):
        Torchvision(LRASPP)
