"""Scale consistency, uncertainty, the period of a tile, known patterns and self-entropy, against known results."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from tests.detectors.test_spatial_consistency import Position, images
from uap.defenses import Blur
from uap.detectors import (
    DETECTORS,
    Detector,
    KnownPattern,
    ScaleConsistency,
    SpatialConsistency,
    TilePeriod,
    Uncertainty,
    named_detectors,
    self_entropy,
)
from uap.metrics.agreement import mean_iou
from uap.utils.errors import InputError


@pytest.mark.parametrize("std", [0.5, 3.0, 5.0])
def test_the_blur_is_that_of_scipy(std: float) -> None:
    (image,) = images(1)
    expected = [gaussian_filter(channel.double().numpy(), std, mode="mirror") for channel in image]
    blurred = Blur(std).approximate(image[None])[0]
    torch.testing.assert_close(blurred.double(), torch.from_numpy(np.stack(expected)), atol=1e-3, rtol=0)


def test_scale_consistency_is_the_mean_iou_of_both_predictions() -> None:
    torch.manual_seed(0)
    network, pictures = nn.Conv2d(3, 4, 3, padding=1), images()
    with torch.no_grad():
        plain, blurred = network(pictures).argmax(1), network(Blur(3.0).approximate(pictures)).argmax(1)
    torch.testing.assert_close(ScaleConsistency(3.0)(network, pictures), mean_iou(plain, blurred))


def test_uncertainties_are_those_of_known_probabilities() -> None:
    softmax = torch.tensor([0.5, 0.3, 0.2])

    def network(pictures: Tensor) -> Tensor:
        return softmax.log()[None, :, None, None].expand(len(pictures), 3, *pictures.shape[-2:])

    entropy = -sum(p * math.log(p) for p in softmax.tolist()) / math.log(3)
    for measure, expected in {"entropy": entropy, "variation_ratio": 0.5, "margin": 0.8}.items():
        scores = Uncertainty(measure)(network, images())  # type: ignore[arg-type]
        assert scores.tolist() == pytest.approx([-expected] * 2), measure


def test_the_period_of_a_tile_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    smooth = Blur(3.0).approximate(torch.randint(0, 256, (1, 3, 96, 128), generator=generator).float())[0]
    tile = 6.0 * (2 * torch.randint(0, 2, (3, 16, 32), generator=generator) - 1)
    noise = 6.0 * (2 * torch.randint(0, 2, (3, 96, 128), generator=generator) - 1)
    periodic, free = smooth + tile.repeat(1, 6, 4), smooth + noise
    scores = TilePeriod()(lambda pictures: pictures, torch.stack([periodic, free]))
    assert scores[0] < -0.9
    assert scores[1] > -0.3
    found = TilePeriod().correlations(periodic)
    rows, columns = (found > 0.9).nonzero().unbind(1)
    assert {int(row) % 16 for row in rows} == {0}
    assert {(int(column) - 64) % 32 for column in columns} == {0}


def test_a_known_pattern_is_found_at_any_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    pattern = 6.0 * (2 * torch.randint(0, 2, (3, 16, 32), generator=generator) - 1)
    other = 6.0 * (2 * torch.randint(0, 2, (3, 16, 32), generator=generator) - 1)
    smooth = torch.full((3, 64, 96), 99.0)
    with_pattern, with_other = smooth + pattern.roll((3, 5), (1, 2)).repeat(1, 4, 3), smooth + other.repeat(1, 4, 3)
    scores = KnownPattern(pattern)(lambda pictures: pictures, torch.stack([smooth, with_pattern, with_other]))
    assert scores[0] == 0
    assert scores[1] < -0.9
    assert scores[2] > -0.4


def test_self_entropy_is_that_of_the_votes() -> None:
    """Each patch predicts the parity of its own column, so the votes depend on the corners alone."""
    (image,) = images(1, 32, 64)
    found = self_entropy(Position(), image, patches=200)
    assert found.shape == (32, 64)
    assert float(found.max()) <= math.log(2) + 1e-6
    assert float(found[:, 20:40].mean()) > 0.6  # about as many even corners as odd ones
    assert not self_entropy(Position(), image, patches=1).any()  # one patch agrees with itself


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (images(), "wrong_shape"),
        (images(1), "wrong_shape"),
        (images(1)[0] / 255, "out_of_range"),
        (images(1)[0] * math.nan, "not_finite"),
        (images(1)[0].bool(), "wrong_type"),
    ],
)
def test_self_entropy_takes_one_image_of_grey_levels(image: Tensor, kind: str) -> None:
    with pytest.raises(InputError) as raised:
        self_entropy(Position(), image)
    assert raised.value.kind == kind


@pytest.mark.parametrize("size", [(128, 48), (48, 128), (8, 8)])
def test_self_entropy_of_images_of_any_shape(size: tuple[int, int]) -> None:
    assert self_entropy(Position(), torch.full((3, *size), 9.0)).shape == size


def test_the_seed_reaches_detectors_that_sample() -> None:
    (spatial,) = named_detectors("SpatialConsistency:3", 7).values()
    assert isinstance(spatial, SpatialConsistency)
    assert spatial.seed == 7


@pytest.mark.parametrize("tile", ["larger than half the image", "without fine detail"])
def test_tiles_that_the_period_does_not_find(tile: str) -> None:
    generator = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(0, 2, (3, 96, 128), generator=generator) - 1
    if tile == "without fine detail":
        smooth = Blur(4.0).approximate(signs[None, :, :48, :64].repeat(1, 1, 2, 2))[0]
        pattern = 10 * smooth / smooth.abs().amax()
    else:
        pattern = 10 * signs[:, :96, :70].repeat(1, 1, 2)[:, :, :128]
    noise = 5.0 * torch.randn(3, 96, 128, generator=generator)
    scores = TilePeriod()(lambda pictures: pictures, (128 + torch.stack([noise, noise + pattern])).clamp(0, 255))
    assert scores[1] > scores[0] - 0.1


def test_a_name_with_a_value_is_one_detector() -> None:
    titles = [title for name in DETECTORS for title in named_detectors(name)]
    assert len(titles) == len(set(titles)) == 8
    (detector,) = named_detectors("ScaleConsistency:1.5").values()
    assert isinstance(detector, ScaleConsistency)
    assert detector.blur.sigma == 1.5


@pytest.mark.parametrize("name", ["Nothing", "SpatialConsistency:many", "SpatialConsistency:0", "Uncertainty:doubt"])
def test_unknown_names_and_values_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        named_detectors(name)


@pytest.mark.parametrize("detector", [ScaleConsistency(5.0), TilePeriod(), KnownPattern(torch.ones(3, 2, 2))])
def test_images_that_are_too_small_are_refused(detector: Detector) -> None:
    small = torch.full((1, 3, 4, 4), 9.0)
    with pytest.raises(InputError, match="too small") as raised:
        detector(lambda pictures: pictures, small)
    assert ("sigma" in str(raised.value)) == isinstance(detector, ScaleConsistency)  # others have no such setting


@pytest.mark.parametrize("detector", [SpatialConsistency(1), ScaleConsistency(1.0), Uncertainty()])
def test_a_network_without_a_map_of_logits_is_refused(detector: Detector) -> None:
    with pytest.raises(InputError, match="expected"):
        detector(lambda pictures: torch.zeros(len(pictures), 3), images())


@pytest.mark.parametrize("detector", [SpatialConsistency(1), TilePeriod(), Uncertainty()])
def test_images_that_are_not_finite_are_refused(detector: Detector) -> None:
    with pytest.raises(InputError, match="not finite"):
        detector(Position(), images() * math.nan)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(InputError):
        TilePeriod(1)
    for pattern in (torch.ones(2, 2), torch.ones(3, 0, 2), torch.full((3, 2, 2), math.nan)):
        with pytest.raises(InputError):
            KnownPattern(pattern)
    with pytest.raises(InputError, match="finite"):
        ScaleConsistency(math.inf)
    with pytest.raises(InputError, match="intersection"):
        ScaleConsistency(1.0, over="both")(nn.Conv2d(3, 2, 1), images())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="fit"):
        self_entropy(Position(), images(1)[0], size=65)
