"""Each defense against an independent reference, and its gradient."""

import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from uap.defenses import BitDepth, Blur, Defense, GaussianNoise, Jpeg, RandomResize, Resize
from uap.utils.errors import InputError

ALL: list[Defense] = [BitDepth(3), Blur(1.5), GaussianNoise(8), Jpeg(75), RandomResize(0.5, 0.9), Resize(0.5)]


def pictures(height: int = 40, width: int = 56) -> Tensor:
    """Two pictures of smooth light and color with some grain."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    smooth = np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse])
    grain = rng.integers(-6, 7, smooth.shape)
    return torch.from_numpy(np.clip(smooth + grain, 0, 255).transpose(0, 3, 1, 2).copy()).float()


def arrays(images: Tensor) -> list[NDArray[np.uint8]]:
    return list(images.to(torch.uint8).permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("defense", ALL, ids=lambda defense: type(defense).__name__)
def test_values_are_8_bit_and_the_same_with_and_without_a_gradient(defense: Defense) -> None:
    images = pictures()
    torch.manual_seed(0)
    if hasattr(defense, "generator"):
        defense.generator.manual_seed(0)  # type: ignore[operator, union-attr]
    plain = defense(images)
    if hasattr(defense, "generator"):
        defense.generator.manual_seed(0)  # type: ignore[operator, union-attr]
    attacked = defense(images.clone().requires_grad_())
    assert torch.equal(plain, attacked)
    assert plain.shape == images.shape
    assert torch.equal(plain, plain.round().clamp(0, 255))
    assert not torch.equal(plain, images)


@pytest.mark.parametrize("defense", ALL, ids=lambda defense: type(defense).__name__)
def test_a_gradient_reaches_the_images(defense: Defense) -> None:
    images = pictures().requires_grad_()
    defense(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert (images.grad != 0).float().mean() > 0.9


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_jpeg_is_that_of_pillow_and_near_that_of_another_encoder(quality: int) -> None:
    images = pictures()
    for image, found in zip(arrays(images), arrays(Jpeg(quality)(images)), strict=True):
        encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        other = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1]
        assert np.abs(found.astype(int) - other).mean() < 0.5
        assert np.abs(found.astype(int) - image).mean() > 1


@pytest.mark.parametrize("scale", [0.75, 0.5])
def test_resizing_is_that_of_pillow(scale: float) -> None:
    images = pictures()
    for image, found in zip(arrays(images), arrays(Resize(scale)(images)), strict=True):
        bilinear = Image.Resampling.BILINEAR
        small = Image.fromarray(image).resize((round(56 * scale), round(40 * scale)), bilinear)
        expected = np.asarray(small.resize((56, 40), bilinear))
        assert np.abs(found.astype(int) - expected).max() <= 2  # Pillow rounds between rows and columns too


def test_blur_is_that_of_opencv() -> None:
    images = pictures()
    for image, found in zip(arrays(images), arrays(Blur(1.5)(images)), strict=True):
        expected = cv2.GaussianBlur(image.astype(np.float32), (13, 13), 1.5, borderType=cv2.BORDER_REFLECT_101)
        assert np.abs(found - expected).max() <= 0.51


def test_bits_are_the_levels_that_are_left() -> None:
    levels = BitDepth(2)(torch.arange(256.0).view(1, 1, 16, 16)).unique().tolist()
    assert levels == [0, 85, 170, 255]
    assert torch.equal(BitDepth(8)(pictures()), pictures())


def test_noise_has_its_deviation_and_does_not_depend_on_batches() -> None:
    grey = torch.full((2, 3, 100, 100), 128.0)
    both, one_by_one = GaussianNoise(8)(grey), GaussianNoise(8)
    assert torch.equal(both, torch.cat([one_by_one(image[None]) for image in grey]))
    assert float((both - 128).std()) == pytest.approx((64 + 1 / 12) ** 0.5, rel=0.02)
    assert not torch.equal(both, GaussianNoise(8, seed=1)(grey))


def test_a_random_size_depends_on_the_image_and_the_seed_alone() -> None:
    defense, images = RandomResize(0.3, 0.9), pictures()
    first = defense(images)
    assert torch.equal(first, defense(images))
    assert torch.equal(first[:1], defense(images[:1]))
    assert not torch.equal(first, RandomResize(0.3, 0.9, seed=1)(images))
    sizes = {resize.scale for step in range(4) if defense(images + step) is not None for resize in defense.chosen}
    assert len(sizes) == 4 * len(images)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Jpeg(0),
        lambda: Jpeg(75.5),  # type: ignore[arg-type]
        lambda: BitDepth(2.5),  # type: ignore[arg-type]
        lambda: Resize(0),
        lambda: RandomResize(0.9, 0.5),
        lambda: Blur(0),
        lambda: Blur(math.inf),
        lambda: BitDepth(9),
        lambda: GaussianNoise(0),
        lambda: Blur(20)(pictures()),
    ],
)
def test_values_out_of_range_are_refused(make: Any) -> None:
    with pytest.raises(InputError):
        make()
