from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from uap.evaluation.distortions import GaussianNoise, Jpeg, Resize, shifted
from uap.universal.perturbation import Perturbation
from uap.utils.quantize import eight_bit


def pictures(height: int = 40, width: int = 56) -> Tensor:
    """Return two smooth images with some noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    smooth = np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse])
    grain = rng.integers(-6, 7, smooth.shape)
    return torch.from_numpy(np.clip(smooth + grain, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2).copy())


def array(images: Tensor) -> NDArray[np.float64]:
    return images.permute(0, 2, 3, 1).numpy().astype(np.float64)


def by_opencv(images: Tensor, quality: int) -> NDArray[np.float64]:
    decoded = []
    for image in array(images).astype(np.uint8):
        encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded.append(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1])
    return np.stack(decoded).astype(np.float64)


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_jpeg_equals_another_encoder(quality: int) -> None:
    images = pictures()
    difference = np.abs(array(Jpeg(quality)(images)) - by_opencv(images, quality))
    assert difference.mean() < 0.5
    assert np.abs(array(Jpeg(quality)(images)) - array(images)).mean() > 1  # the image has changed


def test_lower_jpeg_quality_changes_the_image_more() -> None:
    images = pictures()
    errors = [float(np.abs(array(Jpeg(quality)(images)) - array(images)).mean()) for quality in (95, 75, 50)]
    assert errors == sorted(errors)
    assert errors[2] > 1.5 * errors[0]


@pytest.mark.parametrize(("scale", "small"), [(0.75, (30, 42)), (0.5, (20, 28))])
def test_resizing_equals_pil(scale: float, small: tuple[int, int]) -> None:
    images = pictures()
    for image, resized in zip(array(images).astype(np.uint8), array(Resize(scale)(images)), strict=True):
        bilinear = Image.Resampling.BILINEAR
        reduced = Image.fromarray(image).resize(small[::-1], bilinear)
        back = np.asarray(reduced.resize((56, 40), bilinear)).astype(np.float64)
        assert np.abs(resized - back).max() <= 2  # PIL rounds between rows and columns too


def test_resizing_preserves_an_odd_size() -> None:
    assert Resize(0.5)(pictures(15, 21)).shape == (2, 3, 15, 21)


def test_noise_has_the_standard_deviation_and_zero_mean() -> None:
    grey = torch.full((1, 3, 200, 200), 128, dtype=torch.uint8)
    for std in (4.0, 8.0):
        difference = GaussianNoise(std, 0)(grey).double() - 128
        assert abs(float(difference.mean())) < 0.1
        expected = (std**2 + 1 / 12) ** 0.5  # 1 / 12 is the variance of rounding
        assert float(difference.std()) == pytest.approx(expected, rel=0.01)


def test_noise_does_not_depend_on_the_batches() -> None:
    images = pictures()
    both, one_by_one = GaussianNoise(8, 0)(images), GaussianNoise(8, 0)
    assert torch.equal(both, torch.cat([one_by_one(image[None]) for image in images]))
    assert not torch.equal(both, GaussianNoise(8, 1)(images))
    noisy = GaussianNoise(8, 0)(torch.full_like(images, 128))
    assert not torch.equal(noisy[0], noisy[1])


@pytest.mark.parametrize(
    "distort",
    [
        lambda x: Jpeg(50)(x),
        lambda x: Resize(0.5)(x),
        lambda x: GaussianNoise(100, 0)(x),
    ],
)
def test_distortion_returns_a_new_image_of_the_same_shape(distort: Callable[[Tensor], Tensor]) -> None:
    images = pictures()
    before = images.clone()
    distorted = distort(images)
    assert distorted.dtype == torch.uint8
    assert distorted.shape == images.shape
    assert torch.equal(images, before)


def test_eight_bit_rounds_and_clips() -> None:
    assert eight_bit(torch.tensor([-7.0, 0.4, 1.6, 254.7, 300.0])).tolist() == [0, 0, 2, 255, 255]


def test_shifted_moves_the_perturbation_down_and_to_the_right() -> None:
    perturbation = Perturbation((4, 6), 10)
    torch.nn.init.uniform_(perturbation.proto, -10, 10)
    proto = perturbation.proto.detach().clone()
    for pixels in (1, 8):
        moved = shifted(perturbation, pixels)
        assert moved.epsilon == 10
        np.testing.assert_array_equal(moved.proto.detach(), np.roll(proto.numpy(), (pixels, pixels), (1, 2)))
    assert moved.proto.detach()[0, 0, 2] == proto[0, 0, 0]  # 8 is a multiple of the height, and 2 more than the width
    assert torch.equal(perturbation.proto, proto)


def test_shifted_periodic_perturbation_is_a_shifted_pattern() -> None:
    perturbation = Perturbation((4, 6), 10)
    torch.nn.init.uniform_(perturbation.proto, -10, 10)
    grey = torch.full((1, 3, 11, 13), 128, dtype=torch.uint8)
    large = torch.full((1, 3, 12, 14), 128, dtype=torch.uint8)
    moved = shifted(perturbation, 1).eight_bit(large)
    assert torch.equal(moved[..., 1:, 1:], perturbation.eight_bit(grey))
