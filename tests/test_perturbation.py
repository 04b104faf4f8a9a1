"""Tests of the perturbation and its file against numpy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.helpers import refuses
from uap.universal.optim import GradientAggregation, SignSGD
from uap.universal.perturbation import Perturbation, tile
from uap.universal.perturbation_files import load_perturbation, save_perturbation
from uap.utils.errors import InputError

SIZES = [(4, 6), (8, 12), (7, 11), (9, 6), (3, 4), (1, 13)]


def random_perturbation(tile_size: tuple[int, int] = (4, 6), epsilon: float = 10.0) -> Perturbation:
    perturbation = Perturbation(tile_size, epsilon)
    noise = np.random.default_rng(0).uniform(-epsilon, epsilon, (3, *tile_size))
    perturbation.proto.data = torch.from_numpy(noise).float()
    return perturbation


def random_images(size: tuple[int, int], count: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 3, *size), np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_tile_repeats_over_an_image_and_is_cropped(size: tuple[int, int]) -> None:
    proto = random_perturbation().proto.detach()

    expected = np.tile(proto.numpy(), (1, 4, 4))[:, : size[0], : size[1]]
    assert np.array_equal(tile(proto, size).numpy(), expected)


@pytest.mark.parametrize("size", SIZES)
def test_gradient_of_a_tile_is_the_sum_over_its_repetitions(size: tuple[int, int]) -> None:
    perturbation = random_perturbation()
    slope = torch.from_numpy(np.random.default_rng(2).normal(size=(3, *size))).float()
    (gradient,) = torch.autograd.grad((tile(perturbation.proto, size) * slope).sum(), perturbation.proto)

    expected = torch.zeros(3, 4, 6)
    for row in range(size[0]):
        for column in range(size[1]):
            expected[:, row % 4, column % 6] += slope[:, row, column]
    torch.testing.assert_close(gradient, expected)


def test_adversarial_images_are_clipped_to_grey_levels() -> None:
    perturbation, images = random_perturbation(epsilon=200.0), random_images((5, 9))
    adversarial = perturbation(torch.from_numpy(images)).detach().numpy()

    summed = images + np.tile(perturbation.proto.detach().numpy(), (1, 2, 2))[:, :5, :9]
    assert summed.min() < 0
    assert summed.max() > 255
    np.testing.assert_allclose(adversarial, summed.clip(0, 255))


def test_new_perturbation_is_zero() -> None:
    images = torch.from_numpy(random_images((5, 9)))
    assert torch.equal(Perturbation((4, 4), 10).eight_bit(images), images)


def test_eight_bit_images_are_rounded_and_clipped() -> None:
    perturbation, images = random_perturbation(epsilon=60.0), random_images((5, 9))
    perturbation.proto.data[:, 0] = 0.5  # halves, where ways of rounding differ
    eight_bit = perturbation.eight_bit(torch.from_numpy(images))

    summed = images + np.tile(perturbation.proto.detach().numpy(), (1, 2, 2))[:, :5, :9]
    assert eight_bit.dtype == torch.uint8
    assert np.array_equal(eight_bit.numpy(), summed.round().clip(0, 255))


def test_projection_clips_only_entries_above_epsilon() -> None:
    perturbation = Perturbation((1, 2), 2.5)
    perturbation.proto.data = torch.tensor([[[3.0, -3.0]], [[2.5, -2.5]], [[1.0, 0.0]]])
    perturbation.project_(perturbation.epsilon)
    assert perturbation.proto.tolist() == [[[2.5, -2.5]], [[2.5, -2.5]], [[1.0, 0.0]]]
    assert perturbation.proto.requires_grad


@pytest.mark.parametrize("epsilon", [0, -1, 0.99, 256, float("nan")])
def test_epsilon_out_of_range_raises_error(epsilon: float) -> None:
    with refuses("epsilon", "out_of_range"):
        Perturbation((4, 4), epsilon)


@pytest.mark.parametrize("tile_size", [(0, 4), (4, -1)])
def test_tile_without_pixels_raises_error(tile_size: tuple[int, int]) -> None:
    with refuses("model.tile", "out_of_range"):
        Perturbation(tile_size, 10)


def test_saved_perturbation_and_metadata_are_loaded(tmp_path: Path) -> None:
    perturbation, path = random_perturbation(epsilon=7.5), tmp_path / "perturbation.safetensors"
    save_perturbation(perturbation, path, {"victim": "fcn", "seed": "3"})
    loaded, metadata = load_perturbation(path)

    assert torch.equal(loaded.proto, perturbation.proto)
    assert loaded.epsilon == 7.5
    assert metadata == {"victim": "fcn", "seed": "3", "epsilon": "7.5"}
    assert list(tmp_path.glob("perturbation*")) == [path]


def test_saved_perturbation_is_clipped_to_epsilon(tmp_path: Path) -> None:
    perturbation, path = random_perturbation(epsilon=1.1), tmp_path / "perturbation.safetensors"
    perturbation.proto.data *= 3
    beyond = perturbation.proto.detach().clone()
    save_perturbation(perturbation, path, {})

    assert torch.equal(load_file(path)["proto"], beyond.clamp(-1.1, 1.1))
    assert torch.equal(load_perturbation(path)[0].proto, beyond.clamp(-1.1, 1.1))


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    perturbation, path = random_perturbation(), tmp_path / "perturbation.safetensors"
    save_perturbation(perturbation, path, {"seed": "1"})

    def full_disk(tensors: dict[str, Tensor], target: Path, metadata: dict[str, str]) -> None:
        target.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("uap.universal.perturbation_files.save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_perturbation(random_perturbation(), path, {"seed": "2"})
    assert load_perturbation(path)[1]["seed"] == "1"


def test_missing_file_raises_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no perturbation .*missing.safetensors"):
        load_perturbation(tmp_path / "missing.safetensors")


def test_file_of_another_format_raises_error(tmp_path: Path) -> None:
    (tmp_path / "p.safetensors").write_bytes(b"not a perturbation at all")
    with pytest.raises(InputError, match=r"p.safetensors contains no perturbation .* Expected a safetensors file"):
        load_perturbation(tmp_path / "p.safetensors")


@pytest.mark.parametrize(
    ("name", "metadata"),
    [("weight", {"epsilon": "10"}), ("proto", None), ("proto", {"seed": "1"}), ("proto", {"epsilon": "ten"})],
)
def test_file_without_proto_or_epsilon_raises_error(tmp_path: Path, name: str, metadata: dict[str, str] | None) -> None:
    save_file({name: torch.zeros(3, 4, 4)}, tmp_path / "p.safetensors", metadata)
    with pytest.raises(InputError, match=r"contains no perturbation .* the tensor `proto` and the metadata `epsilon`"):
        load_perturbation(tmp_path / "p.safetensors")


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (1, 4, 4), (0, 4, 4), (2, 3, 4, 4)])
def test_tensor_of_another_shape_raises_error(tmp_path: Path, shape: tuple[int, ...]) -> None:
    save_file({"proto": torch.zeros(shape)}, tmp_path / "p.safetensors", {"epsilon": "10"})
    with pytest.raises(InputError, match=r"p.safetensors contains no perturbation .*, not \(3, h, w\)"):
        load_perturbation(tmp_path / "p.safetensors")


@pytest.mark.parametrize("entry", [10.01, -10.01, float("nan"), float("inf")])
def test_entry_above_epsilon_raises_error(tmp_path: Path, entry: float) -> None:
    proto = torch.zeros(3, 4, 4)
    proto[1, 2, 3] = entry
    save_file({"proto": proto}, tmp_path / "p.safetensors", {"epsilon": "10"})
    with pytest.raises(InputError, match=r"p.safetensors is not within its epsilon 10"):
        load_perturbation(tmp_path / "p.safetensors")


def test_tanh_is_within_epsilon_and_near_the_identity_for_small_values() -> None:
    perturbation = Perturbation((4, 6), 10.0, "tanh")
    values = torch.tensor([1e-3, 5.0, -10.0, 1e4])
    with torch.no_grad():
        perturbation.parameter[0, 0, :4] = values
    found = perturbation.proto.detach()[0, 0, :4]
    np.testing.assert_allclose(found.numpy(), 10 * np.tanh(values.numpy() / 10), rtol=1e-6)
    assert found.abs().max() <= 10
    assert found[0].item() == pytest.approx(1e-3)


def test_tanh_has_gradients_and_is_saved(tmp_path: Path) -> None:
    perturbation = Perturbation((4, 6), 10.0, "tanh")
    assert [tuple(parameter.shape) for parameter in perturbation.parameters()] == [(3, 4, 6)]
    with torch.no_grad():
        perturbation.parameter.fill_(7.0)
    perturbation.proto.sum().backward()  # type: ignore[no-untyped-call]
    slope = 1 - np.tanh(0.7) ** 2
    assert perturbation.parameter.grad is not None
    np.testing.assert_allclose(perturbation.parameter.grad.numpy(), slope, rtol=1e-5)
    perturbation.project_(1.0)
    save_perturbation(perturbation, tmp_path / "p.safetensors", {})
    loaded, _ = load_perturbation(tmp_path / "p.safetensors")
    torch.testing.assert_close(loaded.proto.detach(), torch.full((3, 4, 6), float(10 * np.tanh(0.7))))


def test_shift_moves_the_tile_down_and_to_the_right() -> None:
    perturbation, images = random_perturbation(epsilon=5.0), torch.full((1, 3, 7, 11), 128.0)
    noise = (perturbation(images, (1, 2)) - 128).detach().numpy()[0]
    proto = perturbation.proto.detach().numpy()
    expected = np.tile(np.roll(proto, (1, 2), (1, 2)), (1, 2, 2))[:, :7, :11]
    np.testing.assert_allclose(noise, expected, atol=1e-4)


def test_eight_bit_images_are_within_epsilon_during_start_epsilon() -> None:
    perturbation = random_perturbation(epsilon=10.0)
    perturbation.proto.data *= 3
    images = torch.full((1, 3, 4, 6), 100, dtype=torch.uint8)
    assert (perturbation(images) - 100).abs().max() > 20
    assert (perturbation.eight_bit(images).int() - 100).abs().max() == 10


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "sign steps": lambda learned: SignSGD(learned, lr=7, momentum=0),
    "momentum": lambda learned: SignSGD(learned, lr=3),
    "aggregation": lambda learned: GradientAggregation(learned, lr=5, inner_steps=2),
    "Adam": lambda learned: torch.optim.Adam(learned, lr=20),
    "gradient steps": lambda learned: torch.optim.SGD(learned, lr=1e4),
}


@settings(max_examples=200, deadline=5000)
@given(
    epsilon=st.floats(1, 255),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    parametrization=st.sampled_from(["clip", "tanh"]),
    seed=st.integers(0, 2**31),
)
def test_perturbation_is_within_epsilon_for_any_optimizer(
    epsilon: float, optimizer: str, parametrization: Any, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    perturbation = Perturbation((4, 5), epsilon, parametrization)
    mover = OPTIMIZERS[optimizer]([perturbation.parameter])
    images = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8, generator=generator)
    for _ in range(4):
        perturbation.parameter.grad = torch.randn(3, 4, 5, generator=generator) * 10 ** float(
            torch.empty(1).uniform_(-8, 8, generator=generator)
        )
        mover.step()
        perturbation.project_(epsilon)
        assert float(perturbation.proto.detach().abs().max()) <= float(torch.tensor(epsilon))  # epsilon in float32
        assert int((perturbation.eight_bit(images).int() - images.int()).abs().max()) <= epsilon
