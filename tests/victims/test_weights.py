import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from uap.utils.errors import InputError
from uap.victims.weights import load_weights, read_state_dict


class Hostile:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def network(seed: int = 0, outputs: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, outputs, 3), nn.BatchNorm2d(outputs))


def assert_same(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


WAYS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "plain": lambda state: state,
    "parallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "model": lambda state: {"model": state, "epoch": 3},
    "state_dict": lambda state: {"state_dict": state, "model": "resnet", "best": 0.6},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer": {0: torch.zeros(1)}},
    "both": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    "network": lambda state: {"network": state},
    "net": lambda state: {"net": {"state_dict": state}},
    "compiled": lambda state: prefixed(state, "_orig_mod."),
    "compiled and parallel": lambda state: prefixed(state, "module._orig_mod."),
    "compiled in part": lambda state: {name.replace("0.", "0._orig_mod."): value for name, value in state.items()},
}


@pytest.mark.parametrize("way", WAYS)
def test_published_layouts_are_read(tmp_path: Path, way: str) -> None:
    expected = network().state_dict()
    torch.save(WAYS[way](dict(expected)), tmp_path / "weights.pth")
    assert_same(read_state_dict(tmp_path / "weights.pth"), expected)
    other = network(seed=1)
    load_weights(other, tmp_path / "weights.pth")
    assert_same(other.state_dict(), expected)


@pytest.mark.parametrize("prefix", ["model.", "net.", "segmenter.backbone.", "module.model."])
def test_network_inside_a_lightning_module_is_read(tmp_path: Path, prefix: str) -> None:
    expected = network().state_dict()
    checkpoint = {
        "state_dict": prefixed(dict(expected), prefix)
        | {"criterion.weight": torch.ones(4), "metric.count": torch.ones(1)},
        "epoch": 3,
        "pytorch-lightning_version": "2.6.0",
        "optimizer_states": [{"state": {0: torch.zeros(1)}}],
        "hyper_parameters": {"learning_rate": 0.1, "size": (512, 1024)},
    }
    torch.save(checkpoint, tmp_path / "last.ckpt")
    other = network(seed=1)
    load_weights(other, tmp_path / "last.ckpt")
    assert_same(other.state_dict(), expected)


def test_two_networks_in_one_file_raise_error(tmp_path: Path) -> None:
    state = dict(network().state_dict())
    torch.save(prefixed(state, "student.") | prefixed(state, "teacher."), tmp_path / "weights.pth")
    with pytest.raises(
        InputError, match=r"contains 2 such networks: their names begin with student\., teacher\.\. Save the"
    ):
        load_weights(network(), tmp_path / "weights.pth")


def test_differences_are_named_without_the_prefix(tmp_path: Path) -> None:
    state = prefixed(dict(network(outputs=5).state_dict()), "model.")
    del state["model.0.bias"]
    torch.save(state | {"loss.weight": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"1 tensors are missing \(0\.bias\), 0 are unknown, 5 .* \(0\.weight is \(5,"):
        load_weights(network(), tmp_path / "weights.pth")


def test_layers_that_a_file_lacks_keep_their_weights_if_asked(tmp_path: Path) -> None:
    expected, longer = network(seed=1).state_dict(), nn.Sequential(*network().children(), nn.Conv2d(2, 2, 1))
    new = {name: value.clone() for name, value in longer.state_dict().items() if name not in expected}
    torch.save(expected, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="2 tensors are missing"):
        load_weights(longer, tmp_path / "weights.pth")
    load_weights(longer, tmp_path / "weights.pth", may_lack=True)
    assert new
    assert_same(longer.state_dict(), expected | new)
    torch.save({"other.weight": torch.ones(2)}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"1 are unknown \(other.weight\)"):
        load_weights(longer, tmp_path / "weights.pth", may_lack=True)


def test_weights_for_training_only_are_left_out(tmp_path: Path) -> None:
    expected = network().state_dict()
    torch.save(dict(expected) | {"aux.0.weight": torch.ones(2), "aux.bias": torch.ones(2)}, tmp_path / "weights.pth")
    other = network(seed=1)
    with pytest.raises(InputError, match=r"2 are unknown \(aux\.0\.weight\)"):
        load_weights(other, tmp_path / "weights.pth")
    other.unused_weights = ("aux.",)  # type: ignore[assignment]
    load_weights(other, tmp_path / "weights.pth")
    assert_same(other.state_dict(), expected)


def test_weights_saved_on_a_gpu_are_read_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = network().state_dict()
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(expected, tmp_path / "weights.pth")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(tmp_path / "weights.pth")
    assert_same(read_state_dict(tmp_path / "weights.pth"), expected)


def test_weights_in_half_precision_are_read(tmp_path: Path) -> None:
    torch.save(network().half().state_dict(), tmp_path / "weights.pth")
    other = network(seed=1)
    load_weights(other, tmp_path / "weights.pth")
    torch.testing.assert_close(other.state_dict(), network().state_dict(), rtol=1e-3, atol=1e-3)


def test_legacy_format_of_torch_is_read(tmp_path: Path) -> None:
    expected = network().state_dict()
    torch.save(expected, tmp_path / "weights.pth", _use_new_zipfile_serialization=False)
    assert_same(read_state_dict(tmp_path / "weights.pth"), expected)


def test_safetensors_are_read(tmp_path: Path) -> None:
    expected = network().state_dict()
    save_file({f"module.{name}": value for name, value in expected.items()}, tmp_path / "weights.safetensors")
    other = network(seed=1)
    load_weights(other, tmp_path / "weights.safetensors")
    assert_same(other.state_dict(), expected)


def test_old_weights_can_lack_num_batches_tracked(tmp_path: Path) -> None:
    state = network().state_dict()
    del state["1.num_batches_tracked"]
    torch.save(state, tmp_path / "weights.pth")
    other = network(seed=1)
    load_weights(other, tmp_path / "weights.pth")
    assert torch.equal(other.state_dict()["0.weight"], state["0.weight"])


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pickle_raises_error_and_is_not_executed(tmp_path: Path, zipped: bool) -> None:
    path, trap = tmp_path / "weights.pth", tmp_path / "trapped"
    content = {"0.weight": torch.zeros(2), "extra": Hostile(trap)}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(Hostile(trap), protocol=2))
    with pytest.raises(InputError, match=r"weights\.pth is damaged or asks to run code .* was not loaded"):
        read_state_dict(path)
    assert not trap.exists()
    if not zipped:
        pickle.loads(path.read_bytes())
        assert trap.exists()


@pytest.mark.parametrize("nest", [lambda saved: saved, lambda saved: {"model": saved, "epoch": 3}])
def test_tensors_of_a_pickled_network_are_read(tmp_path: Path, nest: Callable[[Any], Any]) -> None:
    saved = network()
    saved.register_buffer("scratch", torch.ones(1), persistent=False)
    torch.save(nest(saved), tmp_path / "weights.pth")
    with pytest.warns(UserWarning, match=r"left out: torch\.nn\.modules\.batchnorm\.BatchNorm2d"):
        assert_same(read_state_dict(tmp_path / "weights.pth"), dict(network().state_dict()))


@pytest.mark.parametrize("text", ["<html>404</html>", "version https://git-lfs.github.com/spec/v1\nsize 12\n"])
def test_message_about_a_failed_download(tmp_path: Path, text: str) -> None:
    (tmp_path / "weights.pth").write_text(text)
    with pytest.raises(InputError, match=r"weights\.pth is damaged or .*Download or save it again"):
        read_state_dict(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["zip.pth", "old.pth", "weights.safetensors"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.98])
def test_truncated_file_raises_error(tmp_path: Path, name: str, keep: float) -> None:
    path, state = tmp_path / name, network().state_dict()
    if path.suffix == ".pth":
        torch.save(state, path, _use_new_zipfile_serialization=name == "zip.pth")
    else:
        save_file(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=f"{path.name} cannot be read.* [Dd]ownload or save it again"):
        read_state_dict(path)


def test_truncated_legacy_file_raises_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"weights\.pth (cannot be read|is damaged)"):
            read_state_dict(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_damaged_file_is_read_or_raises_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(3), "b": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    refused = 0
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        damaged = bytearray(whole)
        for position in torch.randint(min(len(whole), 400), (3,), generator=generator).tolist():
            damaged[position] = int(torch.randint(256, (1,), generator=generator))
        path.write_bytes(damaged)
        try:
            read_state_dict(path)
        except InputError:
            refused += 1
    assert refused > 50


def test_weights_of_another_network_raise_error_with_differences(tmp_path: Path) -> None:
    state = network(outputs=5).state_dict()
    state["head.weight"] = state.pop("1.weight")
    torch.save(state, tmp_path / "weights.pth")
    own = network()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    with pytest.raises(
        InputError,
        match=r"another network than Sequential .*1 tensors are missing \(1\.weight\), "
        r"1 are unknown \(head\.weight\), 5 have another shape \(0\.weight is \(5, 3, 3, 3\), the network's is \(4, ",
    ):
        load_weights(own, tmp_path / "weights.pth")
    assert_same(own.state_dict(), before)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"0.bias": None}, r"1 tensors are missing \(0\.bias\), 0 are unknown, 0 have another shape\."),
        ({"2.bias": torch.zeros(4)}, r"0 tensors are missing, 1 are unknown \(2\.bias\), 0 have another shape\."),
        ({"0.bias": torch.zeros(1)}, r"0 tensors are missing, 0 are unknown, 1 have another shape \(0\.bias is \(1,\)"),
    ],
)
def test_any_difference_raises_error(tmp_path: Path, change: dict[str, Tensor | None], sentence: str) -> None:
    state = {name: value for name, value in (network().state_dict() | change).items() if value is not None}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=sentence):
        load_weights(network(), tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"epoch": 3}, "contains no tensors"),
        ({"state_dict": {}}, "contains no tensors"),
        ([torch.zeros(2)], "contains no tensors by name"),
        (torch.zeros(2), "contains no tensors by name"),
        ({0: torch.zeros(2)}, "contains no tensors"),
    ],
)
def test_file_without_named_tensors_raises_error(tmp_path: Path, content: Any, sentence: str) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=sentence):
        read_state_dict(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["nowhere.pth", "nowhere.safetensors", ""])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"There is no file {tmp_path / name}.*Check the path"):
        read_state_dict(tmp_path / name)


class Renamed(nn.Module):
    """A network with other layer names in published files, and a head for training only."""

    unused_weights = ("auxiliary.",)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.score = nn.Conv2d(4, 2, 1)

    def published_names(self) -> dict[str, str]:
        return {"conv1_1": "stem"}


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.net."])
def test_prefixes_combine_with_published_names_and_unused_heads(prefix: str, tmp_path: Path) -> None:
    expected = Renamed().state_dict()
    published = {f"{prefix}{name.replace('stem', 'conv1_1')}": value for name, value in expected.items()}
    torch.save(published | {f"{prefix}auxiliary.weight": torch.ones(1)}, tmp_path / "weights.pth")
    other = Renamed()
    load_weights(other, tmp_path / "weights.pth")
    assert_same(other.state_dict(), expected)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # torch's own, of quantized tensors
@pytest.mark.parametrize("kind", ["quantized tensors", "integers and scales"])
def test_quantized_state_dictionary_is_named(kind: str, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))
    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if kind == "quantized tensors":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state[name] = torch.quantize_per_tensor(value, 0.01, 0, torch.qint8) if value.ndim > 1 else value
        else:
            state[name] = (100 * value).to(torch.int8) if value.ndim > 1 else value
            state[f"{name}_scale"] = torch.tensor(0.01)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"net.pth contains a quantized network \(0\.weight is torch\.q?int8\)"):
        load_weights(network, tmp_path / "net.pth")


def test_denormal_weights_become_zero_and_small_ones_stay(tmp_path: Path) -> None:
    network = nn.Linear(3, 1, bias=False)
    save_file({"weight": torch.tensor([[1e-40, -1e-40, 2e-38]])}, tmp_path / "single.safetensors")
    load_weights(network, tmp_path / "single.safetensors")
    assert network.weight.tolist() == [[0.0, 0.0, pytest.approx(2e-38)]]
    half = torch.tensor([[6e-8, -6e-8, 1e-5]]).half()  # denormal in half precision, and normal in the network
    save_file({"weight": half}, tmp_path / "half.safetensors")
    load_weights(network, tmp_path / "half.safetensors")
    assert torch.equal(network.weight, half.float())
