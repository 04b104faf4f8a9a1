"""Victims that fuse views of the image, against networks whose fused prediction is known."""

from pathlib import Path

import pytest
import torch
from torch import nn

from uap.defenses import Blur
from uap.utils.errors import InputError
from uap.utils.patches import covering_corners, patch_side
from uap.victims import AlsoBlurred, Patched, Victim
from uap.victims.building import build_wrapper

IMAGES = torch.randint(0, 256, (2, 3, 32, 64), generator=torch.Generator().manual_seed(0)).float()


def victim(kernel: int = 1) -> Victim:
    torch.manual_seed(0)
    return Victim(nn.Conv2d(3, 4, kernel, padding=kernel // 2), classes=["a", "b", "c", "d"], std=(64.0,) * 3)


def test_views_of_a_network_of_single_pixels_agree() -> None:
    own = victim()
    for fresh in (True, False):
        fused = Patched(own, patches=6, fresh=fresh)(IMAGES)
        torch.testing.assert_close(fused, own(IMAGES).log_softmax(1), atol=1e-4, rtol=0)


def test_the_mean_is_over_the_views_that_contain_a_pixel() -> None:
    own, image = victim(5), IMAGES[:1]
    (corner,) = covering_corners(1, 32, 64, patch_side(32, 64, 8), torch.Generator().manual_seed(3)).tolist()
    inside = (slice(None), slice(None), slice(corner[0], corner[0] + 16), slice(corner[1], corner[1] + 16))
    expected = own(image).log_softmax(1)
    expected[inside] = (expected[inside] + own(image[inside]).log_softmax(1)) / 2
    torch.testing.assert_close(Patched(own, patches=1, fresh=False, seed=3)(image), expected)


def test_fresh_patches_depend_on_the_image_and_the_seed() -> None:
    own, changed = victim(5), IMAGES + 1
    fresh = [Patched(own, 1, seed=seed)(IMAGES) for seed in (0, 0, 1)]
    assert torch.equal(fresh[0], fresh[1])
    assert not torch.equal(fresh[0], fresh[2])
    assert not torch.equal(
        *(Patched(own, 1)(images)[0] - own(images).log_softmax(1)[0] != 0 for images in (IMAGES, changed))
    )


def test_no_image_depends_on_its_batch_and_the_gradient_reaches_all_views() -> None:
    for wrapped in (Patched(victim(5), 3), AlsoBlurred(victim(5), 1.0)):
        torch.testing.assert_close(wrapped(IMAGES)[1:], wrapped(IMAGES[1:]))
        images = IMAGES.clone().requires_grad_()
        wrapped(images)[:, 0].sum().backward()
        assert images.grad is not None
        assert images.grad.flatten(1).any(1).all()


def test_the_blur_is_fused_by_the_mean_of_log_probabilities() -> None:
    own = victim(3)
    expected = (own(IMAGES).log_softmax(1) + own(Blur(1.5).approximate(IMAGES)).log_softmax(1)) / 2
    torch.testing.assert_close(AlsoBlurred(own, 1.5)(IMAGES), expected)


def test_settings_are_part_of_the_fingerprint() -> None:
    own = victim()
    wrapped = [Patched(own, 3), Patched(own, 4), Patched(own, 3, fresh=False), AlsoBlurred(own, 3), AlsoBlurred(own, 5)]
    assert len({one.fingerprint() for one in wrapped}) == 5


@pytest.mark.parametrize(
    "name",
    [
        *("patches_5", "patches_50", "fixed_patches_1", "fixed_patches_5", "fixed_patches_10", "fixed_patches_50"),
        *("also_blurred_05", "also_blurred_3", "blur_05", "blur_3", "blur_5"),
    ],
)
def test_shipped_wrappers_are_built(name: str) -> None:
    path = Path(__file__).parents[2] / "configs" / "wrapper" / f"{name}.yaml"
    build_wrapper(path)(victim()).check((32, 64))


def test_patches_fit_into_tall_images() -> None:
    own, tall = victim(), IMAGES.mT
    torch.testing.assert_close(Patched(own, 4)(tall), own(tall).log_softmax(1), atol=1e-4, rtol=0)


def test_a_seed_that_no_generator_takes_is_refused() -> None:
    for seed in (-1, 2**63):
        with pytest.raises(InputError, match="seed"):
            Patched(victim(), 1, seed=seed)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(InputError):
        Patched(victim(), 0)
    with pytest.raises(InputError, match="fit"):
        Patched(victim(), 1, size=33)(IMAGES)
    with pytest.raises(InputError):
        AlsoBlurred(victim(), 0)
