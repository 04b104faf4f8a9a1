"""Spatial consistency on networks whose consistency is known."""

import pytest
import torch
from torch import Tensor, nn

from uap.detectors import SpatialConsistency
from uap.utils.errors import InputError


class Position(nn.Module):
    """Predicts the parity of the column of its input, whatever it shows: patches disagree if their shift is odd."""

    def forward(self, images: Tensor) -> Tensor:
        parity = (torch.arange(images.shape[-1]) % 2).float().expand(images.shape[0], *images.shape[-2:])
        return torch.stack([1 - parity, parity], dim=1)


def images(count: int = 2, height: int = 64, width: int = 96) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(0)).float()


def test_a_network_of_single_pixels_is_consistent_on_any_image() -> None:
    torch.manual_seed(0)
    assert SpatialConsistency(5)(nn.Conv2d(3, 4, 1), images()).tolist() == [1, 1]


def test_the_score_is_the_share_of_pairs_that_agree() -> None:
    detector = SpatialConsistency(20)
    shifts = detector.pairs(64, 96)[1]
    expected = float((shifts[:, 1] % 2 == 0).double().mean())
    assert 0 < expected < 1
    assert detector(Position(), images()).tolist() == pytest.approx([expected] * 2)


def test_patches_lie_within_the_image_and_shifts_are_those_of_the_paper() -> None:
    corners, shifts, side = SpatialConsistency(500, multiple=1).pairs(1024, 2048)
    assert side == 512
    assert (int(shifts.min()), int(shifts.max())) == (32, 64)
    assert int(corners.min()) >= 0
    last = (corners + shifts + side).amax(0)
    assert int(last[0]) <= 1024
    assert int(last[1]) <= 2048
    assert SpatialConsistency(1).pairs(360, 480)[2] == 176


def test_a_score_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    network, pictures = nn.Conv2d(3, 4, 5, padding=2), images(3)
    together = SpatialConsistency(4)(network, pictures)
    alone = torch.cat([SpatialConsistency(4)(network, picture[None]) for picture in pictures])
    torch.testing.assert_close(together, alone)
    assert (together < 1).all()  # the border of a patch is padded


def test_classes_that_both_patches_have() -> None:
    torch.manual_seed(0)
    network, pictures = nn.Conv2d(3, 4, 5, padding=2), images(2)
    union, both = (SpatialConsistency(4, over=over)(network, pictures) for over in ("union", "intersection"))
    assert (union <= both).all()


def test_images_that_are_too_small_and_values_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="do not fit"):
        SpatialConsistency(1, size=64)(Position(), images())
    with pytest.raises(InputError, match="patches"):
        SpatialConsistency(0)
    with pytest.raises(InputError, match="255"):
        SpatialConsistency(1)(Position(), images() / 255)
