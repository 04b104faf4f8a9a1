import sys
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from tests.victims.gradients import assert_gradient_is_right, settle
from uap.utils.errors import InputError
from uap.victims import SegmentationModels

IMAGENET: dict[str, Any] = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}


def build(architecture: str, encoder: str, outputs: int) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = smp.create_model(architecture, encoder, encoder_weights=None, classes=outputs)
    return network.eval()


def preprocessing(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[tuple[str, str]]:
    """Replace downloads of smp; return the list of requests."""
    asked = []
    found = {"input_space": "RGB", "input_range": [0, 1], "mean": [0.1, 0.2, 0.3], "std": [0.2, 0.4, 0.5], **changes}

    def answer(encoder: str, weights: str) -> dict[str, Any]:
        asked.append((encoder, weights))
        return found

    monkeypatch.setattr(smp.encoders, "get_preprocessing_params", answer)
    return asked


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_weights_from_a_file_give_the_output_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocessing(monkeypatch)
    network = build("FPN", "resnet18", 3)
    torch.save(network.state_dict(), tmp_path / "fpn.pth")
    victim = SegmentationModels("FPN", "resnet18", str(tmp_path / "fpn.pth"), list("abc"))
    image = torch.randint(0, 256, (1, 3, 64, 96)).float()
    seen = (image / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.4, 0.5]).view(3, 1, 1)
    torch.testing.assert_close(victim(image), network(seen), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("largest", [1, 255])
@pytest.mark.parametrize("space", ["RGB", "BGR"])
def test_unusual_preprocessing_of_an_encoder_is_used(monkeypatch: pytest.MonkeyPatch, largest: int, space: str) -> None:
    mean, std = ([value * largest for value in values] for values in ([0.1, 0.2, 0.3], [0.2, 0.4, 0.5]))
    asked = preprocessing(monkeypatch, input_range=[0, largest], input_space=space, mean=mean, std=std)
    victim = SegmentationModels("Unet", "resnet18", classes=list("ab"))
    victim.network = nn.Identity()
    image = torch.randint(2, 256, (1, 3, 4, 6)).float()
    params = smp.encoders.get_preprocessing_params("resnet18", "imagenet")
    expected = smp.encoders._preprocessing.preprocess_input(image[0].permute(1, 2, 0).numpy(), **params)
    torch.testing.assert_close(victim(image)[0].permute(1, 2, 0), torch.from_numpy(expected).float())
    assert asked[0] == ("resnet18", "imagenet")


def test_given_preprocessing_needs_no_download(offline: None) -> None:
    assert SegmentationModels("Unet", "resnet18", classes=list("ab"), **IMAGENET).channel_order == "rgb"
    victim = SegmentationModels("Unet", "resnet18", classes=list("ab"), channel_order="bgr", **IMAGENET)
    assert victim.channel_order == "bgr"
    assert victim.mean.flatten().tolist() == pytest.approx(IMAGENET["mean"])


def test_preprocessing_of_a_timm_encoder_needs_no_download(offline: None) -> None:
    victim = SegmentationModels("Unet", "tu-resnet10t", classes=list("ab"))
    assert victim.mean.flatten().tolist() == pytest.approx(IMAGENET["mean"])


@pytest.mark.parametrize(("architecture", "size"), [("Unet", (37, 50)), ("FPN", (37, 50)), ("DeepLabV3Plus", (37, 50))])
def test_gradient_equals_finite_differences_at_padded_sizes(architecture: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    victim = SegmentationModels(architecture, "resnet18", classes=list("abc"), **IMAGENET)
    settle(victim.network)
    victim.check(size)
    assert_gradient_is_right(victim, *size)


def test_saved_folder_has_network_and_weights(tmp_path: Path) -> None:
    network = build("FPN", "resnet18", 3)
    network.save_pretrained(tmp_path / "fpn")  # type: ignore[operator]
    victim = SegmentationModels(str(tmp_path / "fpn"), classes=list("abc"), **IMAGENET)
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in victim.network.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Unett", "resnet18"), r"smp cannot build Unett on resnet18: .*Wrong architecture type `Unett`.*'unet'"),
        (("Unet", "resnet"), r"smp cannot build Unet on resnet: .*Wrong encoder name `resnet`, supported encoders:"),
        (("someone/unet",), r"smp cannot build someone/unet on resnet34: .*Hub"),
        (("Unet", "resnet18", None, ["a", "b"], "imagenet"), r"smp cannot build Unet on resnet18: .*Hub"),
    ],
)
def test_unknown_or_unreachable_networks_are_named(offline: None, arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SegmentationModels(*arguments)


def test_unavailable_preprocessing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(encoder: str, weights: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(smp.encoders, "get_preprocessing_params", unreachable)
    with pytest.raises(
        InputError, match=r"encoder resnet18 cannot be looked up \(no route to host\)\. Set victim\.mean"
    ):
        SegmentationModels("Unet", "resnet18", classes=list("ab"))


def test_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(InputError, match=r"needs segmentation_models_pytorch .*pip install -e '.\[smp\]'"):
        SegmentationModels()
