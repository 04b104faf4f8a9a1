"""The dense CRF at its default parameters, and what reaches the attention kernel."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uap.utils.errors import InputError
from uap.victims import DenseCRF, Victim
from uap.victims.dense_crf import bilateral_features, bilateral_filter


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def scene(height: int, width: int) -> Tensor:
    """Two regions 40 grey levels apart, with a slope of colors and noise of about 3 grey levels."""
    images = 100 + torch.linspace(0, 10, width).expand(1, 3, height, width) + 3 * noise(1, 3, height, width)
    images[..., width // 2 :] += 40
    return images.round()


def by_hand(unary: Tensor, images: Tensor, iterations: int, spatial_weights: Tensor, weights: Tensor) -> Tensor:
    """The mean field with whole matrices in float64: theta 160, 3 and 3."""
    height, width = unary.shape[-2:]
    grid = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    positions = torch.stack(grid).flatten(1).T.double()
    colors = images[0].flatten(1).T.double()
    apart = (positions[:, None] - positions).square().sum(2)
    spatial = torch.exp(-apart / (2 * 3**2))
    spatial[(positions[:, None] - positions).abs().amax(2) > 12] = 0
    bilateral = torch.exp(-apart / (2 * 160**2) - (colors[:, None] - colors).square().sum(2) / (2 * 3**2))
    u = unary[0].flatten(1).T.double()
    z = u
    for _ in range(iterations):
        q = z.softmax(1)
        near = (spatial @ q) / spatial.sum(1, keepdim=True)
        alike = (bilateral @ q) / bilateral.sum(1, keepdim=True)
        z = u + near @ spatial_weights.T + alike @ weights.T
    return z.T.reshape(1, -1, height, width)


def crf(classes: int, stride: int = 1, weights: str | None = None) -> DenseCRF:
    names = [str(i) for i in range(classes)]
    return DenseCRF(Victim(nn.Conv2d(3, classes, 1), classes=names), stride=stride, weights=weights)


def test_default_parameters_give_the_mean_field_of_whole_matrices() -> None:
    images, unary = scene(16, 20), noise(1, 5, 16, 20)
    expected = by_hand(unary, images, 10, 3 * torch.eye(5).double(), 5 * torch.eye(5).double())
    assert float((expected - unary).std()) > 0.1
    torch.testing.assert_close(crf(5).refine(unary, images).double(), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("stride", "error"), [(2, 0.0021), (4, 0.0057)])  # measured: 0.0020 and 0.0056
def test_a_stride_approximates_the_default_parameters(stride: int, error: float) -> None:
    images = scene(32, 40)
    unary = noise(1, 2, 32, 40)
    unary[:, 0, :, :20] += 1
    unary[:, 1, :, 20:] += 1
    exact, coarse = (crf(2, step).refine(unary, images).softmax(1) for step in (1, stride))
    assert float((exact - coarse).abs().mean()) < error


@pytest.mark.parametrize("classes", [2, 11, 19, 21])
def test_rows_that_reach_the_attention_fit_the_kernels_of_cuda(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    attention: Callable[..., Tensor] = F.scaled_dot_product_attention

    def record(*tensors: Tensor, **settings: float) -> Tensor:
        seen.extend(tuple(t.shape) for t in tensors)
        return attention(*tensors, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", record)
    q = noise(1, classes, 4, 6).softmax(1)
    assert bilateral_filter(q, bilateral_features(scene(4, 6), 160.0, 3.0)).shape == q.shape
    assert seen == [(1, 1, 24, 8 if classes == 2 else 16 if classes == 11 else 24)] * 3


@pytest.mark.parametrize("given", ["high", "highest"])
def test_products_are_in_float32_and_the_setting_is_restored(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    victim = crf(2)
    monkeypatch.setattr(
        victim,
        "refine",
        lambda u, _: seen.append(torch.backends.cuda.matmul.fp32_precision) or u,  # type: ignore[func-returns-value]
    )
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(given)
        victim(scene(4, 6))
        assert seen == ["ieee"]
        assert torch.get_float32_matmul_precision() == given
        monkeypatch.setattr(victim, "refine", lambda u, _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            victim(scene(4, 6))
        assert torch.backends.cuda.matmul.allow_tf32 == (given == "high")
    finally:
        torch.set_float32_matmul_precision(before)


def published_file(folder: Path, compatibility: Tensor, spatial: Tensor, bilateral: Tensor) -> str:
    """A file in the layout of crfasrnn_pytorch, with a layer of its FCN-8s."""
    state = {"conv1_1.bias": torch.zeros(64), "crfrnn.spatial_ker_weights": spatial}
    state |= {"crfrnn.bilateral_ker_weights": bilateral, "crfrnn.compatibility_matrix": compatibility}
    torch.save(state, folder / "crfrnn.pth")
    return str(folder / "crfrnn.pth")


def test_learned_matrices_of_a_published_file_give_its_mean_field(tmp_path: Path) -> None:
    compatibility, spatial, bilateral = noise(3, 4, 4)
    victim = crf(4, weights=published_file(tmp_path, compatibility, spatial, bilateral))
    images, unary = scene(12, 16), noise(1, 4, 12, 16)
    products = (compatibility.double() @ spatial.double(), compatibility.double() @ bilateral.double())
    expected = by_hand(unary, images, 10, *products)
    torch.testing.assert_close(victim.refine(unary, images).double(), expected, atol=1e-3, rtol=1e-4)
    assert victim.fingerprint() != crf(4).fingerprint()


def test_initial_matrices_of_the_published_network_are_the_default(tmp_path: Path) -> None:
    file = published_file(tmp_path, torch.eye(4), 3 * torch.eye(4), 5 * torch.eye(4))
    images, unary = scene(8, 10), noise(2, 4, 8, 10)
    images = torch.cat([images, images.flip(3)])
    torch.testing.assert_close(crf(4, weights=file).refine(unary, images), crf(4).refine(unary, images))


def test_matrices_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = published_file(tmp_path, torch.eye(4), torch.eye(4), torch.eye(4))
    with pytest.raises(InputError, match="for 4 classes, and the network has 3 outputs"):
        crf(3, weights=file)(scene(4, 6))
    file = published_file(tmp_path, torch.eye(4), torch.eye(3), torch.eye(4))
    with pytest.raises(InputError, match="has not the matrices of one dense CRF"):
        crf(4, weights=file)
