from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.helpers import save
from uap.data.augmentation import Augmentation
from uap.datasets import pictures
from uap.utils.errors import InputError
from uap.utils.masks import resize_mask

Picture = NDArray[np.uint8]
HALF = (20, 28)


@pytest.fixture
def noise() -> Picture:
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture
def ids() -> Picture:
    return np.random.default_rng(1).choice(np.array([0, 7, 33, 255], np.uint8), (40, 56))


def test_pil_resampling_is_pil_bilinear(noise: Picture) -> None:
    expected = np.asarray(Image.fromarray(noise).resize((28, 20), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pictures.resize_image(noise, HALF, "pil"), expected)


def test_pil_resampling_averages_over_dropped_pixels(noise: Picture) -> None:
    tent = np.array([1, 3, 3, 1]) / 8
    padded = noise.astype(float)
    rows = sum(w * padded[k : k + 36 : 2] for k, w in enumerate(tent, start=1))
    expected = sum(w * rows[:, k : k + 52 : 2] for k, w in enumerate(tent, start=1))
    np.testing.assert_allclose(pictures.resize_image(noise, HALF, "pil")[1:-1, 1:-1], expected, atol=1)


def test_opencv_resampling_is_opencv_linear(noise: Picture) -> None:
    expected = cv2.resize(noise, (28, 20), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(pictures.resize_image(noise, HALF, "opencv"), expected)


def test_opencv_resampling_uses_only_the_two_nearest_pixels(noise: Picture) -> None:
    third = pictures.resize_image(noise[:39, :54], (13, 18), "opencv")
    np.testing.assert_array_equal(third, noise[1:39:3, 1:54:3])


def test_the_two_resamplings_differ_on_noise(noise: Picture) -> None:
    pil, opencv = (pictures.resize_image(noise, HALF, way).astype(int) for way in ("pil", "opencv"))
    assert np.abs(pil - opencv).mean() > 5


def test_image_of_the_right_size_is_unchanged(noise: Picture, ids: Picture) -> None:
    np.testing.assert_array_equal(pictures.resize_image(noise, (40, 56), "pil"), noise)
    np.testing.assert_array_equal(resize_mask(ids, (40, 56)), ids)


@pytest.mark.parametrize("size", [(20, 28), (13, 31), (80, 60)])
def test_masks_are_resized_like_pil_nearest(ids: Picture, size: tuple[int, int]) -> None:
    resized = resize_mask(ids, size)
    np.testing.assert_array_equal(
        resized, np.asarray(Image.fromarray(ids).resize(size[::-1], Image.Resampling.NEAREST))
    )
    assert set(np.unique(resized)) <= {0, 7, 33, 255}


def test_mask_at_half_size_is_every_second_pixel(ids: Picture) -> None:
    np.testing.assert_array_equal(resize_mask(ids, HALF), ids[1::2, 1::2])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_8_bit_images_are_read_as_rgb(tmp_path: Path, noise: Picture, mode: str) -> None:
    picture = Image.fromarray(noise).convert(mode)
    picture.save(tmp_path / "picture.png")
    np.testing.assert_array_equal(pictures.read_image(tmp_path / "picture.png"), np.asarray(picture.convert("RGB")))


def test_palette_mask_is_read_as_indices(tmp_path: Path, ids: Picture) -> None:
    picture = Image.fromarray(ids)
    picture.putpalette([value for i in range(256) for value in (255 - i, i, 0)])
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(pictures.read_mask(tmp_path / "mask.png"), ids)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.95])
def test_truncated_png_is_named(tmp_path: Path, noise: Picture, keep: float) -> None:
    path = save(tmp_path / "half.png", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=r"half\.png is (truncated or damaged|empty)"):
        pictures.read_image(path)


def test_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.png does not exist\. Check the path"):
        pictures.read_image(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"nowhere\.png does not exist\. Check the path"):
        pictures.read_mask(tmp_path / "nowhere.png")


def test_grey_image_of_16_bits_raises_error(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 30000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png has mode I;16, expected 8 bits per channel"):
        pictures.read_image(tmp_path / "deep.png")


def test_image_with_too_many_pixels_raises_error(
    tmp_path: Path, noise: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"large\.png has too many pixels .*exceeds limit"):
        pictures.read_image(save(tmp_path / "large.png", noise))


def test_images_are_rotated_only_if_upright_is_set(tmp_path: Path, noise: Picture) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(pictures.read_image(tmp_path / "turned.png"), noise)
    np.testing.assert_array_equal(pictures.read_image(tmp_path / "turned.png", upright=True), np.rot90(noise, 3))


def test_mask_of_16_bits_raises_error(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 7001, np.uint16)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png has mode I;16, expected an 8-bit PNG of one channel"):
        pictures.read_mask(tmp_path / "mask.png")


def test_color_coded_mask_raises_error(tmp_path: Path, noise: Picture) -> None:
    with pytest.raises(InputError, match=r"mask\.png has mode RGB, .*Convert color-coded labels to ids first"):
        pictures.read_mask(save(tmp_path / "mask.png", noise))


def coded(size: tuple[int, int] = (48, 64)) -> tuple[Picture, Picture]:
    """Return an image and its labels: asymmetric blocks, dark for the label 0 and bright for the label 1."""
    blocks = np.random.default_rng(3).integers(0, 2, (size[0] // 8, size[1] // 8), dtype=np.uint8)
    mask = blocks.repeat(8, axis=0).repeat(8, axis=1)
    return np.repeat(np.where(mask == 1, 220, 30).astype(np.uint8)[..., None], 3, axis=2), mask


def test_augmentation_depends_only_on_its_seed() -> None:
    augment, again = Augmentation((32, 40)), Augmentation((32, 40))
    image, mask = coded()
    results = {seed: augment(image, mask, seed) for seed in (3, 4, 5)}
    for seed in (5, 3, 4):
        np.testing.assert_array_equal(again(image, mask, seed)[0], results[seed][0])
        np.testing.assert_array_equal(again(image, mask, seed)[1], results[seed][1])
    assert not np.array_equal(results[3][0], results[4][0])
    assert not np.array_equal(results[3][1], results[5][1])


def test_augmented_labels_match_the_pixels() -> None:
    augment = Augmentation((32, 40))
    image, mask = coded()
    for seed in range(20):
        picture, labels = augment(image, mask, seed)
        assert picture.shape == (32, 40, 3)
        assert labels.shape == (32, 40)
        assert picture.dtype == labels.dtype == np.uint8
        assert set(np.unique(labels)) <= {0, 1}
        assert ((picture.mean(2) > 110) == labels).mean() > 0.9, seed


def test_augmentation_flips_some_images() -> None:
    augment = Augmentation((48, 64), zoom=(1.0, 1.0))
    image, mask = coded()
    results = [augment(image, mask, seed)[1] for seed in range(12)]
    kept = sum(np.array_equal(result, mask) for result in results)
    flipped = sum(np.array_equal(result, mask[:, ::-1]) for result in results)
    assert kept + flipped == 12
    assert kept
    assert flipped


def test_padding_of_augmentation_is_ignored_in_the_mask() -> None:
    image, mask = coded()
    picture, labels = Augmentation((60, 80), zoom=(0.5, 0.5))(image, mask, 0)
    outside = labels == 255
    assert outside.sum() == 60 * 80 - 24 * 32
    assert ((picture.mean(2) > 110) == labels)[~outside].mean() > 0.9


def test_augmentation_does_not_change_its_input() -> None:
    image, mask = coded()
    before = image.copy(), mask.copy()
    Augmentation((32, 40))(image, mask, 1)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])
