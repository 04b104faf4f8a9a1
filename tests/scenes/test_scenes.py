"""Synthetic scenes: deterministic, labeled exactly, and with every class."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from uap.datasets.synthetic import VERSION, render_scene
from uap.datasets.synthetic.camera import Camera
from uap.datasets.synthetic.canvas import Canvas
from uap.datasets.synthetic.ids import ALL_IDS, BICYCLE, BUS, PERSON, RIDER, ROAD, SKY, TRAFFIC_LIGHT, TRAFFIC_SIGN
from uap.datasets.synthetic.light import Light
from uap.datasets.synthetic.people import render_person
from uap.datasets.synthetic.shapes import COACH
from uap.datasets.synthetic.vehicles import render_vehicle

Scene = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(5, index) for index in range(60)]


@pytest.fixture
def canvas() -> Canvas:
    camera = Camera(width=512, height=256, focal=500, center=256, horizon=120, eye=1.5, bend=0.0)
    noon = Light(
        ambient=(1, 1, 1),
        haze=(200, 200, 200),
        fog=0.0,
        sun=0.5,
        sun_side=1,
        dusk=False,
        wet=False,
        sky_top=(90, 140, 200),
        sky_low=(190, 210, 230),
        clouds=0.2,
    )
    return Canvas(camera, noon)


def test_version_is_one() -> None:
    assert VERSION == 1


def test_the_same_arguments_give_the_same_pixels_in_any_order(scenes: list[Scene]) -> None:
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    for index in (7, 3, 7):
        image, labels = render_scene(5, index)
        np.testing.assert_array_equal(image, scenes[index][0])
        np.testing.assert_array_equal(labels, scenes[index][1])


def test_rendering_leaves_the_global_random_state_alone() -> None:
    np.random.seed(2)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    render_scene(0, 0)
    assert np.random.random() == expected  # noqa: NPY002


def test_seed_and_index_both_change_the_scene(scenes: list[Scene]) -> None:
    assert (render_scene(6, 0)[1] != scenes[0][1]).mean() > 0.05
    assert (scenes[1][1] != scenes[0][1]).mean() > 0.05


def test_shapes_types_and_ids(scenes: list[Scene]) -> None:
    for image, labels in scenes:
        assert image.shape == (256, 512, 3)
        assert labels.shape == (256, 512)
        assert image.dtype == labels.dtype == np.uint8
        assert set(np.unique(labels)) <= set(ALL_IDS)


@pytest.mark.parametrize("size", [(64, 128), (128, 256), (200, 360), (512, 1024)])
def test_other_sizes(size: tuple[int, int]) -> None:
    image, labels = render_scene(1, 2, size)
    assert image.shape == (*size, 3)
    assert labels.shape == size
    assert set(np.unique(labels)) <= set(ALL_IDS)
    assert image.std() > 10


def test_every_class_occurs_and_rare_classes_in_more_than_half_of_the_scenes(scenes: list[Scene]) -> None:
    large = np.array([np.bincount(labels.ravel(), minlength=19) >= 60 for _, labels in scenes])
    assert large[:, list(ALL_IDS)].any(axis=0).all()
    for kind in (RIDER, BICYCLE, BUS, TRAFFIC_LIGHT, TRAFFIC_SIGN):
        assert large[:, kind].mean() > 0.5


def test_people_are_common(scenes: list[Scene]) -> None:
    pixels = np.array([(labels == PERSON).sum() for _, labels in scenes])
    assert (pixels >= 200).mean() > 0.8
    assert np.median(pixels) > 1000


def test_sky_is_above_the_road(scenes: list[Scene]) -> None:
    for _, labels in scenes:
        rows = np.arange(256)[:, None]
        above = (rows * (labels == SKY)).max()
        assert above < (rows * (labels == ROAD)).max()
        assert (labels[-40:] != SKY).all()


def test_labels_agree_with_the_image(canvas: Canvas) -> None:
    canvas.pixels[..., 3] = ROAD
    render_person(canvas, np.random.default_rng(0), 0.0, 8.0)
    image, labels = canvas.develop()
    painted = image.sum(axis=2) > 0
    person = labels == PERSON
    edge = painted ^ person
    assert person.sum() > 1000
    assert edge.sum() < 0.12 * person.sum()  # one blended pixel around the outline
    inside = cv2.erode(person.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert painted[inside].all()


def test_people_and_buses_have_their_real_heights(canvas: Canvas) -> None:
    render_vehicle(canvas, np.random.default_rng(0), 0.0, 25.0, COACH)
    rows = np.flatnonzero((canvas.develop()[1] == BUS).any(axis=1))
    near_end = 25.0 - COACH.length / 2
    assert np.ptp(rows) == pytest.approx(500 * COACH.height / near_end, rel=0.05)
    render_person(canvas, np.random.default_rng(1), 3.0, 10.0)
    rows = np.flatnonzero((canvas.develop()[1] == PERSON).any(axis=1))
    assert 0.55 * 85 < np.ptp(rows) < 1.15 * 90


def test_only_the_visible_side_of_a_vehicle_is_painted(canvas: Canvas) -> None:
    render_vehicle(canvas, np.random.default_rng(0), -6.0, 18.0, COACH)
    columns = np.flatnonzero((canvas.develop()[1] == BUS).any(axis=0))
    right_edge = 256 + 500 * (-6.0 + COACH.width / 2) / (18.0 + COACH.length / 2)
    assert columns.max() == pytest.approx(right_edge, abs=3)
