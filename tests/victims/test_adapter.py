import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as tv

from tests.helpers import Brightness, refuses
from uap.networks import FastSCNN
from uap.utils.class_tables import CAMVID
from uap.utils.errors import Kind
from uap.victims import Multiscale, Victim

MEAN, STD = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)


class Recorder(nn.Module):
    """A network that stores its input and returns it as logits."""

    seen: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return x


class Fixed(nn.Module):
    """A network that returns a function of its input."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> Any:
        return self.answer(x)


def fails(x: Tensor) -> Tensor:
    raise RuntimeError("sizes must match")


def images(height: int = 6, width: int = 8, count: int = 2) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def batch_norm_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_input_is_normalized_in_the_channel_order_of_the_network(order: Any) -> None:
    victim = Victim(nn.Identity(), classes=list("abc"), channel_order=order, mean=MEAN, std=STD)
    rgb = images().numpy()
    channels = rgb if order == "rgb" else rgb[:, [2, 1, 0]]
    expected = np.stack([(channels[:, c] - MEAN[c]) / STD[c] for c in range(3)], axis=1)
    np.testing.assert_allclose(victim(torch.from_numpy(rgb)).numpy(), expected, rtol=1e-6)


def test_smaller_outputs_are_upsampled_to_the_input() -> None:
    network = nn.AvgPool2d(4)
    x = images(12, 16)
    logits = Victim(network, classes=list("abc"))(x)
    torch.testing.assert_close(logits, F.interpolate(network(x), (12, 16), mode="bilinear", align_corners=False))


@pytest.mark.parametrize(("height", "width"), [(13, 18), (16, 17), (5, 16), (16, 16)])
def test_other_sizes_are_padded_by_the_last_row_and_column(height: int, width: int) -> None:
    network = Recorder()
    x = images(height, width)
    logits = Victim(network, classes=list("abc"), mean=MEAN, std=STD, size_multiple=8)(x)
    assert logits.shape == x.shape
    normalized = (x.numpy() - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    padded = np.pad(normalized, ((0, 0), (0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    np.testing.assert_allclose(network.seen.numpy(), padded, rtol=1e-6)
    torch.testing.assert_close(logits, network.seen[..., :height, :width])


def test_padding_combines_with_upsampling() -> None:
    network = nn.AvgPool2d(4)
    x = images(10, 13)
    padded = F.pad(x, (0, 3, 0, 2), mode="replicate")
    expected = F.interpolate(network(padded), (12, 16), mode="bilinear", align_corners=False)[..., :10, :13]
    torch.testing.assert_close(Victim(network, classes=list("abc"), size_multiple=4)(x), expected)


def test_gradient_through_padding_and_upsampling() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.AvgPool2d(2))
    victim = Victim(network, classes=["a", "b"], channel_order="bgr", mean=MEAN, std=STD, size_multiple=4)
    x = images(5, 6, 1).double().requires_grad_()
    torch.autograd.gradcheck(victim.double(), (x,))


def test_weights_and_statistics_do_not_change() -> None:
    victim = Victim(batch_norm_network(), classes=["a", "b"])
    before = copy.deepcopy(victim.state_dict())
    x = images().requires_grad_()
    parent = nn.Sequential(victim).train()
    parent(x).sum().backward()
    assert x.grad is not None
    assert x.grad.any()
    assert not any(parameter.requires_grad for parameter in victim.parameters())
    assert all(parameter.grad is None for parameter in victim.parameters())
    assert all(torch.equal(value, before[name]) for name, value in victim.state_dict().items())


def test_victim_stays_in_eval_mode() -> None:
    victim = Victim(batch_norm_network(), classes=["a", "b"])
    assert victim.train() is victim
    nn.Sequential(victim).train()
    assert not any(module.training for module in victim.modules())


def test_predict_returns_class_ids_for_any_dtype() -> None:
    victim = Victim(Brightness(), classes=["dark", "bright"])
    x = images().round()
    prediction = victim.predict(x.to(torch.uint8))
    assert prediction.dtype == torch.uint8
    assert prediction.shape == (2, 6, 8)
    assert not prediction.requires_grad
    assert torch.equal(prediction, (x.mean(1) > 128).to(torch.uint8))
    assert torch.equal(victim.predict(x.double()), prediction)


def fingerprint(network: nn.Module | None = None, **settings: Any) -> str:
    return Victim(network or batch_norm_network(), **{"classes": ["a", "b"], **settings}).fingerprint()


def changed(name: str) -> nn.Module:
    network = batch_norm_network()
    value = network.state_dict()[name]
    value.view(-1)[0] += 1
    return network


@pytest.mark.parametrize("name", ["0.weight", "3.bias", "1.running_mean", "1.running_var"])
def test_fingerprint_changes_with_any_weight(name: str) -> None:
    assert fingerprint(changed(name)) != fingerprint()


@pytest.mark.parametrize(
    "settings",
    [
        {"mean": (0.0, 0.0, 5.0)},
        {"std": (1.0, 1.0, 2.0)},
        {"channel_order": "bgr"},
        {"size_multiple": 2},
        {"input_size": (6, 8)},
        {"output": 0},
    ],
)
def test_fingerprint_changes_with_the_preprocessing(settings: dict[str, Any]) -> None:
    assert fingerprint(**settings) != fingerprint()


def test_fingerprint_changes_with_settings_without_tensors() -> None:
    networks = [FastSCNN(3, enlarge) for enlarge in (1, 2)]
    networks[1].load_state_dict(networks[0].state_dict())
    assert len({Victim(network, classes=list("abc")).fingerprint() for network in networks}) == 2


def test_fingerprint_changes_with_non_persistent_buffers() -> None:
    def scaled(scale: float) -> nn.Module:
        network = batch_norm_network()
        network.register_buffer("scale", torch.tensor(scale), persistent=False)
        return network

    assert fingerprint(scaled(1.0)) != fingerprint(scaled(2.0))


def test_fingerprint_ignores_names_use_and_memory_layout() -> None:
    assert fingerprint(classes=["c", "d"]) == fingerprint()
    victim = Victim(batch_norm_network(), classes=["a", "b"])
    victim.predict(images())
    victim.check((6, 8))
    victim.to(memory_format=torch.contiguous_format).train()
    assert victim.fingerprint() == fingerprint()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_fingerprint_is_equal_after_saving_and_loading(tmp_path: Path, name: str) -> None:
    state = batch_norm_network().state_dict()
    if name.endswith(".pth"):
        torch.save(state, tmp_path / name)
    else:
        save_file(state, tmp_path / name)
    other = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    assert fingerprint(other, weights=str(tmp_path / name)) == fingerprint()


def test_error_of_a_network_is_quoted() -> None:
    victim = Victim(Fixed(fails), classes=["a"])
    with refuses("data.size", "not_supported", "6 x 8"):
        victim.check((6, 8))


def test_images_are_resized_to_the_input_size_and_logits_back() -> None:
    network = Recorder()
    x = images(20, 28)
    logits = Victim(network, classes=list("abc"), mean=MEAN, std=STD, input_size=(7, 10))(x)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    smooth = tv.resize(x, [7, 10], antialias=True)  # averages over the pixels that it drops
    torch.testing.assert_close(network.seen, (smooth - mean) / std, rtol=1e-4, atol=1e-4)
    assert network.seen.shape == (2, 3, 7, 10)
    torch.testing.assert_close(logits, F.interpolate(network.seen, (20, 28), mode="bilinear", align_corners=False))


def test_resizing_combines_with_padding() -> None:
    network = Recorder()
    x = images(20, 28)
    logits = Victim(network, classes=list("abc"), input_size=(7, 10), size_multiple=4)(x)
    assert network.seen.shape == (2, 3, 8, 12)
    cropped = network.seen[..., :7, :10]
    torch.testing.assert_close(logits, F.interpolate(cropped, (20, 28), mode="bilinear", align_corners=False))


@pytest.mark.parametrize("answer", [lambda x: {"out": x, "aux": -x}, lambda x: (x, -x), lambda x: [[x], -x]])
def test_first_of_several_outputs_is_used(answer: Any) -> None:
    victim = Victim(Fixed(answer), classes=list("abc"))
    with pytest.warns(UserWarning, match="has 2 outputs of 3 classes"):
        victim.check((6, 8))
    torch.testing.assert_close(victim(images()), images())


@pytest.mark.parametrize(
    ("answer", "taken", "other"),
    [
        (lambda x: [x, 2 * x], "0", "1"),
        (lambda x: {"aux": 2 * x, "out": x}, "out", "aux"),
        (lambda x: ({"aux": 2 * x, "out": x}, x.mean((2, 3))), "0.out", "0.aux"),
        (lambda x: {"out": [x, 2 * x], "features": x[:, :1]}, "out.0", "out.1"),
    ],
)
def test_ambiguous_output_gives_a_warning_and_can_be_selected(answer: Any, taken: str, other: str) -> None:
    with pytest.warns(UserWarning, match=rf"The output {taken} is used\..* --model\.victim\.output {other}"):
        Victim(Fixed(answer), classes=list("abc")).check((6, 8))
    chosen = Victim(Fixed(answer), classes=list("abc"), output=other)
    chosen.check((6, 8))
    torch.testing.assert_close(chosen(images()), 2 * images())


@pytest.mark.parametrize("answer", [lambda x: x, lambda x: (x, x[:, :2]), lambda x: {"out": x, "seen": x.argmax(1)}])
def test_unambiguous_output_gives_no_warning(answer: Any) -> None:
    Victim(Fixed(answer), classes=list("abc")).check((6, 8))


@pytest.mark.parametrize(("answer", "output"), [(lambda x: {"out": -x, "aux": x}, "aux"), (lambda x: (-x, x), 1)])
def test_another_output_can_be_selected(answer: Any, output: Any) -> None:
    victim = Victim(Fixed(answer), classes=list("abc"), output=output)
    torch.testing.assert_close(victim(images()), images())


def test_output_of_another_shape_raises_error() -> None:
    victim = Victim(Fixed(lambda x: x[:, 0]), classes=["a"])
    with refuses("model.victim.classes", "wrong_shape", "(1, 6, 8)"):
        victim.check((6, 8))


@pytest.mark.parametrize("wrap", [lambda victim: victim, Multiscale])
def test_first_forward_pass_refuses_too_few_outputs_and_names_further_ones_void(
    wrap: Callable[[Victim], Victim],
) -> None:
    images = torch.full((2, 3, 6, 8), 9.0)
    with refuses("model.victim.classes", "wrong_shape", "gives (2, 3, "):
        wrap(Victim(nn.Conv2d(3, 3, 1), classes=list("abcd")))(images)
    victim = wrap(Victim(nn.Conv2d(3, 3, 1), classes=list("ab")))
    victim(images)
    assert victim.table.names == ("a", "b", "void")


@pytest.mark.parametrize(
    ("network", "setting", "kind"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Softmax(1)), "model.victim.output", "not_supported"),
        (nn.Conv2d(3, 1, 1), "model.victim.network", "wrong_shape"),
        (Fixed(lambda x: x.argmax(1, keepdim=True)), "model.victim.network", "wrong_type"),
        (Fixed(lambda x: x / 0), "model.victim.weights", "not_finite"),
    ],
)
def test_first_forward_pass_refuses_what_is_no_logits(network: nn.Module, setting: str, kind: Kind) -> None:
    with refuses(setting, kind):
        Victim(network, classes=["a"])(torch.full((1, 3, 6, 8), 9.0))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mean", {"mean": (0.485, 0.456, 0.406), "std": (58.4, 57.1, 57.4)}),
        ("std", {"mean": (123.7, 116.3, 103.5), "std": (0.229, 0.224, 0.225)}),
        ("std", {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}),
        ("mean", {"mean": (0.5, 0.5, 0.5)}),
    ],
)
def test_mean_and_std_for_images_from_0_to_1_are_refused(name: str, settings: dict[str, Any]) -> None:
    with refuses(f"model.victim.{name}", "out_of_range", "Multiply mean and std by 255"):
        Victim(nn.Conv2d(3, 2, 1), classes=["a", "b"], **settings)


@pytest.mark.parametrize("std", [1.0, 255.0])
def test_images_may_be_only_scaled(std: float) -> None:
    Victim(nn.Conv2d(3, 2, 1), classes=["a", "b"], std=(std, std, std))


def test_too_few_outputs_raise_error() -> None:
    with refuses("model.victim.classes", "wrong_shape", "(1, 3, 6, 8)"):
        Victim(nn.Identity(), classes="camvid").check((6, 8))


def test_outputs_without_a_class_are_void() -> None:
    victim = Victim(nn.Conv2d(3, 13, 1), classes="camvid")
    victim.check((6, 8))
    assert victim.table.names == (*CAMVID.names, "void", "void1")
    assert victim.table.colors[:11] == CAMVID.colors
    assert len(victim.table.colors) == 13


def test_fitting_table_is_unchanged() -> None:
    victim = Victim(nn.Conv2d(3, 11, 1), classes="camvid")
    victim.check((6, 8))
    assert victim.table == CAMVID


def test_classes_can_be_listed() -> None:
    victim = Victim(nn.Identity(), classes=["grass", "rock", "sky"])
    assert victim.table.names == ("grass", "rock", "sky")
    assert len(set(victim.table.colors)) == 3
    assert victim.table == Victim(nn.Identity(), classes=["grass", "rock", "sky"]).table


def test_names_of_a_known_table_get_its_colors() -> None:
    assert Victim(nn.Identity(), classes=list(CAMVID.names)).table == CAMVID


@pytest.mark.parametrize(
    "settings",
    [{"std": (1.0, 0.0, 1.0)}, {"std": (-1.0, 1.0, 1.0)}, {"size_multiple": 0}, {"input_size": (0, 4)}],
)
def test_invalid_preprocessing_raises_error(settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with refuses(f"model.victim.{name}", "out_of_range", str(value)):
        Victim(nn.Identity(), classes=["a"], **settings)


def test_compile_setting_compiles_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    asked = Victim(nn.Conv2d(3, 2, 1), classes=["a", "b"], compile=True)
    Victim(nn.Conv2d(3, 2, 1), classes=["a", "b"])
    assert compiled == [asked.network]


def test_the_cache_key_changes_with_the_code_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for number, shown in enumerate(("x", "x.flip(3)")):
        folder = tmp_path / str(number)
        folder.mkdir()
        head = "import torch\n\nclass Net(torch.nn.Conv2d):\n    def forward(self, x):\n"
        code = f"{head}        return super().forward({shown})\n"
        (folder / f"net{number}.py").write_text(code)
        monkeypatch.syspath_prepend(str(folder))
        torch.manual_seed(0)
        network = importlib.import_module(f"net{number}").Net(3, 2, 1)
        keys.add(Victim(network, classes=["dark", "bright"]).cache_key())
    assert len(keys) == 2
