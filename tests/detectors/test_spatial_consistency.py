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
    pictures = images()
    expected = [float((detector.pairs(one)[1][:, 1] % 2 == 0).double().mean()) for one in pictures]
    assert all(0 < share < 1 for share in expected)
    assert detector(Position(), pictures).tolist() == pytest.approx(expected)


def test_patches_lie_within_the_image_and_shifts_are_those_of_the_paper() -> None:
    corners, shifts, side = SpatialConsistency(500, multiple=1).pairs(torch.zeros(3, 1024, 2048))
    assert side == 512
    assert (int(shifts.min()), int(shifts.max())) == (32, 64)
    assert int(corners.min()) >= 0
    last = (corners + shifts + side).amax(0)
    assert int(last[0]) <= 1024
    assert int(last[1]) <= 2048
    assert SpatialConsistency(1).pairs(torch.zeros(3, 360, 480))[2] == 176


def test_each_image_and_each_seed_has_its_own_pairs() -> None:
    first, second = images()
    corners = [SpatialConsistency(4, seed=seed).pairs(one)[0] for one in (first, second) for seed in (0, 1)]
    assert len({str(one.tolist()) for one in corners}) == 4
    assert torch.equal(SpatialConsistency(4).pairs(first)[0], corners[0])
    attacked = SpatialConsistency(4).pairs(first.clone().index_fill_(2, torch.tensor([5]), 9.0))[0]
    assert not torch.equal(attacked, corners[0])


def test_the_variance_of_the_places_is_in_the_scores_of_several_images() -> None:
    """Images that look the same to the network have different scores, because one pair is a sample."""
    pictures = images(1).expand(40, -1, -1, -1) + torch.arange(40)[:, None, None, None]
    scores = SpatialConsistency(1)(Position(), pictures)
    assert set(scores.tolist()) == {0.0, 1.0}
    assert 0.2 < float(scores.mean()) < 0.8


def test_shifts_are_shares_of_the_side() -> None:
    detector = SpatialConsistency(300, size=40, smallest_shift=0.25, largest_shift=0.5)
    corners, shifts, side = detector.pairs(images()[0])
    assert (int(shifts.min()), int(shifts.max()), side) == (10, 20, 40)
    assert int((corners + shifts + side).amax(0)[0]) <= 64
    for low, high in ((0, 0.5), (0.5, 0.25), (0.5, 1)):
        with pytest.raises(InputError, match="_shift"):
            SpatialConsistency(smallest_shift=low, largest_shift=high)


@pytest.mark.parametrize("size", [(128, 48), (48, 128), (24, 32), (9, 9), (2400, 1080)])
def test_pairs_fit_into_images_of_any_shape(size: tuple[int, int]) -> None:
    corners, shifts, side = SpatialConsistency(20).pairs(torch.full((3, *size), 9.0))
    assert side % 8 == 0
    assert (corners >= 0).all()
    assert (corners + shifts + side <= torch.tensor(size)).all()


def test_only_a_size_that_was_set_can_be_set_smaller() -> None:
    with pytest.raises(InputError, match="smaller size"):
        SpatialConsistency(1, size=64).pairs(images()[0])
    with pytest.raises(InputError, match="larger images"):
        SpatialConsistency(1).pairs(torch.zeros(3, 8, 64))


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
