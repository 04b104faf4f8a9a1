import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import transformers
import yaml
from torch import nn

from tests.helpers import attack_args, learned, make_camvid
from tests.victims.gradients import assert_gradient_is_right, settle
from uap import fit
from uap.utils.class_tables import CITYSCAPES
from uap.utils.errors import InputError
from uap.victims import HuggingFace

hf: Any = transformers  # whose types are not for users
NAMES = {0: "road", 1: "sky", 2: "car"}
LABELS: dict[str, Any] = {"id2label": NAMES, "label2id": {name: i for i, name in NAMES.items()}}


def segformer(**options: Any) -> Any:
    sizes = {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 8], "num_attention_heads": [1, 1, 1, 1]}
    return hf.SegformerForSemanticSegmentation(
        hf.SegformerConfig(**sizes, decoder_hidden_size=8, **{**LABELS, **options})
    )


def upernet() -> Any:
    backbone = hf.ConvNextConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[4, 4, 8, 8], out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    return hf.UperNetForSemanticSegmentation(
        hf.UperNetConfig(backbone_config=backbone, hidden_size=8, auxiliary_channels=8, pool_scales=[1, 2], **LABELS)
    )


def dpt() -> Any:
    return hf.DPTForSemanticSegmentation(
        hf.DPTConfig(
            hidden_size=8,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=8,
            image_size=32,
            patch_size=8,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[4, 4, 8, 8],
            fusion_hidden_size=8,
            reassemble_factors=[4, 2, 1, 0.5],
            **LABELS,
        )
    )


def mobilevit() -> Any:
    return hf.MobileViTForSemanticSegmentation(
        hf.MobileViTConfig(
            hidden_sizes=[8, 8, 8],
            neck_hidden_sizes=[4, 4, 8, 8, 8, 8, 8],
            num_attention_heads=2,
            aspp_out_channels=8,
            atrous_rates=[1, 2, 3],
            **LABELS,
        )
    )


KINDS: dict[str, tuple[Callable[[], Any], Any, Any]] = {
    "segformer": (segformer, hf.SegformerImageProcessor, {"size": {"height": 32, "width": 48}}),
    "upernet": (upernet, hf.SegformerImageProcessor, {"do_resize": False}),
    "dpt": (dpt, hf.DPTImageProcessor, {"size": {"height": 32, "width": 32}}),
    "mobilevit": (
        mobilevit,
        hf.MobileViTImageProcessor,
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    ),
}
"""Small networks with their processors."""


def save(folder: Path, network: Any, processor: Any) -> str:
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], str]:
    def saved(kind: str) -> str:
        build, processor, options = KINDS[kind]
        torch.manual_seed(0)
        network = build()
        settle(network)
        return save(tmp_path / kind, network, processor(**options))

    return saved


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_networks_equal_finite_differences(folder: Callable[[str], str], kind: str) -> None:
    victim = HuggingFace(folder(kind))
    victim.check((40, 56))
    assert victim.table.names == ("road", "sky", "car")
    assert_gradient_is_right(victim, 40, 56)


@pytest.mark.parametrize(
    ("kind", "size", "exact"),
    [("segformer", (32, 48), 1e-3), ("upernet", (40, 56), 1e-5), ("mobilevit", (32, 32), 1e-5)],
)
def test_input_equals_the_output_of_the_processor(
    folder: Callable[[str], str], kind: str, size: tuple[int, int], exact: float
) -> None:
    """SegFormer's resizes 40 x 56, in 8 bits; at 32 x 32 MobileViT's leaves the size, for it crops to that."""
    path = folder(kind)
    victim = HuggingFace(path)
    victim.network = nn.Identity()
    image = torch.randint(0, 256, (1, 3, *(size if kind == "mobilevit" else (40, 56))), dtype=torch.uint8)
    seen = hf.AutoImageProcessor.from_pretrained(path)(image[0], return_tensors="pt")["pixel_values"]
    assert seen.shape[-2:] == size
    shown: list[torch.Tensor] = []
    victim.network.register_forward_pre_hook(lambda _, args: shown.extend(args))
    victim(image.float())
    assert shown[0].shape == seen.shape
    assert (shown[0] - seen).abs().max() <= (1 / 255 / 0.224 if kind == "segformer" else exact)


@pytest.mark.parametrize(
    ("options", "mean", "std"),
    [
        ({}, 255 * 0.485, 255 * 0.229),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "rescale_factor": 1 / 127.5}, 63.75, 31.875),
        ({"do_rescale": False, "image_mean": [120.0] * 3, "image_std": [60.0] * 3}, 120, 60),
        ({"do_normalize": False}, 0, 255),
        ({"do_normalize": False, "do_rescale": False}, 0, 1),
    ],
)
def test_mean_and_std_are_in_grey_levels(tmp_path: Path, options: dict[str, Any], mean: float, std: float) -> None:
    victim = HuggingFace(save(tmp_path / "net", segformer(), hf.SegformerImageProcessor(**options)))
    assert victim.mean[0, 0, 0, 0].item() == pytest.approx(mean)
    assert victim.std[0, 0, 0, 0].item() == pytest.approx(std)


def test_channel_order_is_that_of_the_processor(folder: Callable[[str], str]) -> None:
    assert HuggingFace(folder("mobilevit")).channel_order == "bgr"
    assert HuggingFace(folder("segformer")).channel_order == "rgb"


@pytest.mark.parametrize(
    ("processor", "options", "size", "multiple"),
    [
        (hf.SegformerImageProcessor, {"size": {"height": 32, "width": 48}}, (32, 48), 1),
        (hf.SegformerImageProcessor, {"do_resize": False}, None, 1),
        (hf.SegformerImageProcessor, {"size": {"shortest_edge": 32}}, None, 1),
        (hf.MobileViTImageProcessor, {}, None, 1),
        (hf.DPTImageProcessor, {"size": {"height": 28, "width": 42}, "ensure_multiple_of": 14}, (28, 42), 14),
        (hf.DPTImageProcessor, {"keep_aspect_ratio": True, "ensure_multiple_of": 14}, None, 14),
    ],
)
def test_input_size_is_that_of_the_processor(
    tmp_path: Path, processor: Any, options: dict[str, Any], size: Any, multiple: int
) -> None:
    victim = HuggingFace(save(tmp_path / "net", segformer(), processor(**options)))
    assert (victim.input_size, victim.size_multiple) == (size, multiple)


def test_input_size_can_be_set_or_switched_off(folder: Callable[[str], str]) -> None:
    path = folder("segformer")
    assert HuggingFace(path, input_size=None).input_size is None
    assert HuggingFace(path, input_size=(64, 64)).input_size == (64, 64)
    assert HuggingFace(path, size_multiple=32).size_multiple == 32


def test_classes_of_a_known_table_get_its_colors(tmp_path: Path) -> None:
    names = dict(enumerate(CITYSCAPES.names))
    network = segformer(id2label=names, label2id={name: i for i, name in names.items()})
    assert HuggingFace(save(tmp_path / "net", network, hf.SegformerImageProcessor())).table == CITYSCAPES


def test_classes_can_be_renamed(folder: Callable[[str], str]) -> None:
    assert HuggingFace(folder("segformer"), classes=["a", "b", "c"]).table.names == ("a", "b", "c")


def test_encoder_without_a_head_raises_error(tmp_path: Path) -> None:
    path = save(tmp_path / "net", segformer().segformer, hf.SegformerImageProcessor())
    with pytest.raises(
        InputError, match=r"lacks \d+ weights of SegformerForSemanticSegmentation \(decode_head\..*was not"
    ):
        HuggingFace(path)


def test_only_safetensors_are_read(folder: Callable[[str], str]) -> None:
    path = Path(folder("segformer"))
    torch.save(segformer().state_dict(), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"cannot be loaded with transformers \(.*safetensors"):
        HuggingFace(str(path))


def test_code_in_a_folder_is_not_executed(folder: Callable[[str], str], tmp_path: Path) -> None:
    path = Path(folder("segformer"))
    (path / "own.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'trapped')!r})\nclass Net: pass\nclass Config: pass\n"
    )
    config = json.loads((path / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForSemanticSegmentation": "own.Net"},
    }
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"cannot be loaded with transformers .*Expected a local folder"):
        HuggingFace(str(path))
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("change", ["no config", "damaged weights", "no processor", "a classifier"])
def test_folder_of_another_kind_raises_error(folder: Callable[[str], str], change: str) -> None:
    path = Path(folder("segformer"))
    if change == "no config":
        (path / "config.json").unlink()
    elif change == "damaged weights":
        (path / "model.safetensors").write_bytes(b"damaged")
    elif change == "no processor":
        os.remove(path / "preprocessor_config.json")
    else:
        hf.ResNetForImageClassification(
            hf.ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])
        ).save_pretrained(path)
    with pytest.raises(
        InputError, match=r"segformer cannot be loaded with transformers \(.+\)\. Expected a local folder"
    ):
        HuggingFace(str(path))


def test_unreachable_network_of_the_hub_is_named(offline: None) -> None:
    with pytest.raises(
        InputError, match=r"^someone/net cannot be loaded .*repository on the hub \(which is downloaded"
    ):
        HuggingFace("someone/net")


def test_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"needs transformers .*pip install -e '.\[transformers\]'"):
        HuggingFace("nvidia/segformer-b0-finetuned-ade-512-512")


def test_attack_from_a_short_configuration(folder: Callable[[str], str], tmp_path: Path) -> None:
    block = {"class_path": "uap.victims.HuggingFace", "init_args": {"name": folder("segformer")}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"model": {"victim": block}}))
    root, out = make_camvid(tmp_path / "camvid"), tmp_path / "out"
    cli = fit.main([*attack_args(root, out), f"--config={tmp_path / 'mine.yaml'}"])
    assert isinstance(cli.model.victim, HuggingFace)
    assert learned(out).any()
    saved = yaml.safe_load((out / "config.yaml").read_text())["model"]["victim"]
    assert saved["class_path"] == "uap.victims.HuggingFace"
    assert saved["init_args"]["name"] == block["init_args"]["name"]  # type: ignore[index]
