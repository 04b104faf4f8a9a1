"""Tests of targets against a brute-force nearest neighbor."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers import refuses
from uap.objectives import HideClasses, StaticTarget
from uap.objectives.base import Mask
from uap.objectives.hide_classes import fill_hidden, hidden_pixels
from uap.utils.class_tables import CAMVID, CITYSCAPES, IGNORE

HEIGHT, WIDTH = 12, 16
NUMBERED: Mask = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
"""A prediction with a different class at every pixel, so that filled pixels show their origin."""


def nothing(path: Path, is_image: bool) -> Mask:
    raise AssertionError(f"{path} is read")


def prepared(hide: list[str], min_pixels: int = 1) -> HideClasses:
    target = HideClasses(hide, min_pixels)
    target.bind(CAMVID, nothing)
    return target


def blocks(*boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    hidden = np.zeros((HEIGHT, WIDTH), np.bool_)
    for top, bottom, left, right in boxes:
        hidden[top:bottom, left:right] = True
    return hidden


def assert_filled_from_the_nearest(prediction: Mask, hidden: NDArray[np.bool_], target: Mask) -> None:
    assert np.array_equal(target[~hidden], prediction[~hidden])
    background = np.argwhere(~hidden)
    for pixel in np.argwhere(hidden):
        distances = ((background - pixel) ** 2).sum(1)
        nearest = background[distances == distances.min()]
        assert target[tuple(pixel)] in prediction[nearest[:, 0], nearest[:, 1]]


@pytest.mark.parametrize(
    "hidden",
    [
        blocks((4, 8, 5, 11)),
        blocks((0, 3, 0, 4), (9, 12, 12, 16), (5, 7, 0, 1)),
        blocks((0, 12, 0, 5)),
        blocks((2, 9, 0, 16)),
        blocks((0, 6, 0, 16), (6, 12, 0, 15)),
        ~blocks((0, 1, 15, 16)),
        ~blocks((5, 6, 7, 8)),
        ~blocks((0, 1, 0, 1), (11, 12, 15, 16)),
    ],
    ids=["inside", "borders", "left", "stripe", "column_left", "corner_left", "one_left", "two_left"],
)
def test_hidden_pixels_get_the_class_of_the_nearest_background(hidden: NDArray[np.bool_]) -> None:
    assert_filled_from_the_nearest(NUMBERED, hidden, fill_hidden(NUMBERED, hidden))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_random_masks_are_filled_from_the_nearest_background(share: float) -> None:
    for seed in range(5):
        hidden = np.random.default_rng(seed).random((HEIGHT, WIDTH)) < share
        assert_filled_from_the_nearest(NUMBERED, hidden, fill_hidden(NUMBERED, hidden))


def test_target_without_hidden_pixels_is_a_copy_of_the_prediction() -> None:
    target = fill_hidden(NUMBERED, blocks())
    assert np.array_equal(target, NUMBERED)
    assert not np.shares_memory(target, NUMBERED)


def test_fill_hidden_does_not_change_the_prediction() -> None:
    prediction = NUMBERED.copy()
    fill_hidden(prediction, blocks((1, 5, 1, 5)))
    assert np.array_equal(prediction, NUMBERED)


def test_several_hidden_classes_never_fill_each_other() -> None:
    target = prepared(["pedestrian", "bicyclist"])
    prediction = np.random.default_rng(0).choice([0, 3, 9, 10], (HEIGHT, WIDTH)).astype(np.uint8)
    filled, hidden = target.make(prediction)

    assert target.hidden_classes == (9, 10)
    assert np.array_equal(hidden, (prediction == 9) | (prediction == 10))
    assert np.array_equal(hidden, hidden_pixels(prediction, (9, 10)))
    assert set(np.unique(filled)) == {0, 3}
    assert_filled_from_the_nearest(prediction, hidden, filled)


def test_image_without_background_has_no_target() -> None:
    prediction = np.where(NUMBERED % 3 == 0, 9, 10).astype(np.uint8)
    filled, hidden = prepared(["pedestrian", "bicyclist"]).make(prediction)
    assert (filled == IGNORE).all()
    assert hidden.all()


def test_images_with_too_few_hidden_pixels_or_no_background_are_not_usable() -> None:
    predictions = np.zeros((5, HEIGHT, WIDTH), np.uint8)
    for image, count in enumerate([0, 1, 3, HEIGHT * WIDTH - 1, HEIGHT * WIDTH]):
        predictions[image].flat[:count] = 9

    assert prepared(["pedestrian"]).usable(predictions).tolist() == [False, True, True, True, False]
    assert prepared(["pedestrian"], min_pixels=3).usable(predictions).tolist() == [False, False, True, True, False]
    assert prepared(["pedestrian"], min_pixels=4).usable(predictions).tolist() == [False, False, False, True, False]


def test_pixels_of_all_hidden_classes_are_counted_together() -> None:
    predictions = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    predictions[0, 0, :2], predictions[0, 1, :2] = 9, 10
    assert prepared(["pedestrian", "bicyclist"], min_pixels=4).usable(predictions).tolist() == [True]
    assert prepared(["pedestrian"], min_pixels=4).usable(predictions).tolist() == [False]


def test_class_unknown_to_the_victim_raises_error() -> None:
    target = HideClasses(["person", "bus", "lane"])
    with refuses("model.objective.hide", "unknown_name", "'bus', 'lane': the classes are sky"):
        target.bind(CAMVID, nothing)
    with refuses("model.objective.hide", "unknown_name", "'lane': the classes are road"):
        target.bind(CITYSCAPES, nothing)


def test_hidden_class_can_be_named_by_a_synonym() -> None:
    target = HideClasses(["person", "Pavement"])
    target.bind(CAMVID, nothing)
    assert [CAMVID.names[hidden] for hidden in target.hidden_classes] == ["pedestrian", "pavement"]


def test_empty_list_of_hidden_classes_raises_error() -> None:
    with refuses("model.objective.hide", "missing_setting"):
        HideClasses([])


def test_scene_of_another_network_raises_error() -> None:
    scene = np.full((HEIGHT, WIDTH), len(CAMVID), np.uint8)
    with refuses("model.objective", "not_supported", "a.png"):
        StaticTarget(image="a.png").bind(CAMVID, lambda path, is_image: scene)


@pytest.mark.parametrize(("arguments", "is_image"), [({"image": "a.png"}, True), ({"labels": "a.png"}, False)])
def test_static_target_is_equal_for_all_images(arguments: dict[str, str], is_image: bool) -> None:
    asked, scene = [], NUMBERED % len(CAMVID)

    def read(path: Path, is_image: bool) -> Mask:
        asked.append((path, is_image))
        return scene

    target = StaticTarget(**arguments)
    target.bind(CAMVID, read)
    made, hidden = target.make(np.zeros((HEIGHT, WIDTH), np.uint8))

    assert asked == [(Path("a.png"), is_image)]
    assert np.array_equal(made, scene)
    assert hidden.shape == (HEIGHT, WIDTH)
    assert not hidden.any()
    assert target.hidden_classes == ()
    assert target.usable(np.zeros((3, HEIGHT, WIDTH), np.uint8)).tolist() == [True, True, True]


@pytest.mark.parametrize("arguments", [{}, {"image": "a.png", "labels": "b.png"}])
def test_static_target_needs_exactly_one_source(arguments: dict[str, str]) -> None:
    with refuses("model.objective", "conflict"):
        StaticTarget(**arguments)


def test_many_small_regions_are_filled_in_one_box() -> None:
    rng = np.random.default_rng(0)
    prediction = (np.arange(80 * 80) % 251).astype(np.uint8).reshape(80, 80)
    hidden = np.zeros((80, 80), np.bool_)
    hidden[2:78:4, 2:78:4] = True
    hidden |= rng.random((80, 80)) < 0.02
    assert_filled_from_the_nearest(
        prediction.astype(np.uint8), hidden, fill_hidden(prediction.astype(np.uint8), hidden)
    )
