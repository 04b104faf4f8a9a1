"""Tests of random shifts and random scales."""

import pytest
import torch

from tests.attacks.linear import Linear, images
from uap.objectives import Goal, Untargeted
from uap.universal.learn import learn
from uap.universal.random_views import RandomViews, View, random_shift
from uap.utils.errors import InputError


def test_a_view_of_scale_1_changes_nothing() -> None:
    pictures = images(2, (6, 8))
    goal = Goal(torch.arange(96).view(2, 6, 8), torch.arange(96).view(2, 6, 8) % 3 == 0)
    view = View(1.0, (0.5, 0.5))
    torch.testing.assert_close(view.images(pictures), pictures)
    seen = view.goal(goal, pictures)
    assert torch.equal(seen.labels, goal.labels)
    assert seen.region is not None
    assert goal.region is not None
    assert torch.equal(seen.region, goal.region)


def test_a_doubled_image_is_cropped_to_its_place_together_with_its_labels() -> None:
    step = torch.zeros(1, 3, 4, 8)
    step[..., 4:] = 100  # the right half
    goal = Goal((step[:, 0] > 0).long(), step[:, 0] > 0, sign=-1)
    left, right = View(2.0, (0.0, 0.0)), View(2.0, (1.0, 1.0))
    assert left.images(step)[..., :7].max() == 0
    assert right.images(step)[..., 1:].min() == 100
    assert left.goal(goal, step).labels.sum() == 0
    assert right.goal(goal, step).labels.sum() == 4 * 8
    assert right.goal(goal, step).sign == -1
    region = right.goal(goal, step).region
    assert region is not None
    assert region.all()


def test_a_reduced_image_is_whole() -> None:
    pictures = images(1, (8, 12))
    view = View(0.5, (1.0, 1.0))
    assert view.images(pictures).shape == (1, 3, 4, 6)
    assert view.images(pictures).mean().item() == pytest.approx(pictures.mean().item(), rel=0.05)
    labels = torch.arange(8).view(1, 8, 1).expand(1, 8, 12)
    assert view.goal(Goal(labels), pictures).labels[0, :, 0].tolist() == [1, 3, 5, 7]


def test_scales_and_places_are_uniform_and_depend_on_the_seed_alone() -> None:
    random = RandomViews((0.75, 1.5), None, (4, 4))
    views = [view for step in range(400) if (view := random.draw([0, step]))]
    assert views == [random.draw([0, step]) for step in range(400)]
    scales, tops = torch.tensor([view.scale for view in views]), torch.tensor([view.place[0] for view in views])
    for values, low, high in ((scales, 0.75, 1.5), (tops, 0.0, 1.0)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, rel=0.06)
    shifts = torch.tensor([random_shift([0, step], (5, 7)) for step in range(400)])
    assert shifts.amax(0).tolist() == [4, 6]


def test_locations_that_are_no_pixels_have_no_scale() -> None:
    with pytest.raises(InputError, match=r"locations \(9,\)"):
        View(0.5, (0.0, 0.0)).goal(Goal(torch.zeros(1, 9, dtype=torch.long)), images(1, (4, 4)))


@pytest.mark.parametrize("scales", [(0.0, 1.0), (1.5, 0.75), (1.0, float("inf"))])
def test_scales_out_of_order_are_refused(scales: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="smallest and the largest"):
        RandomViews(scales, None, (4, 4))


def test_a_crop_is_the_part_of_the_image_and_of_its_labels_at_its_place() -> None:
    pictures = images(2, (8, 12))
    labels = torch.arange(96).view(1, 8, 12)
    view = View(1.0, (1.0, 0.5), (4, 6))
    torch.testing.assert_close(view.images(pictures), pictures[..., 4:, 3:9])
    assert torch.equal(view.goal(Goal(labels), pictures).labels, labels[:, 4:, 3:9])


def test_a_crop_larger_than_the_image_is_the_image() -> None:
    pictures = images(1, (8, 12))
    assert View(1.0, (0.5, 0.5), (9, 6)).images(pictures).shape == (1, 3, 8, 6)
    assert View(2.0, (0.5, 0.5), (9, 6)).images(pictures).shape == (1, 3, 8, 6)
    assert View(0.5, (0.5, 0.5), (9, 6)).images(pictures).shape == (1, 3, 4, 6)


def test_a_crop_smaller_than_the_tile_is_refused() -> None:
    with pytest.raises(InputError, match="smaller than the tile"):
        learn(Linear(), images(2, (8, 12)), Untargeted(), tile=(4, 6), random_crop=(4, 5), progress=False)


def test_a_tile_is_learned_on_crops() -> None:
    delta = learn(
        Linear(), images(6, (8, 12)), Untargeted(), 3, tile=(4, 4), random_crop=(4, 6), passes=6, progress=False
    )
    assert (delta.proto.abs() == 3).float().mean() > 0.8  # cells of a linear network always have the same gradient


@pytest.mark.parametrize("tile", [None, (4, 4)])
def test_learning_with_scales_is_reproducible_and_within_epsilon(tile: tuple[int, int] | None) -> None:
    def learned(scale: tuple[float, float] | None) -> torch.Tensor:
        return learn(
            Linear(), images(6, (8, 12)), Untargeted(), 3, tile=tile, random_scale=scale, passes=6, progress=False
        ).proto

    scaled = learned((0.5, 2.0))
    assert torch.equal(scaled, learned((0.5, 2.0)))
    assert not torch.equal(scaled, learned(None))
    assert scaled.abs().max() == 3
