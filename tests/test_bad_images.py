"""Tests of images that every function of the Python interface refuses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import DAG, FGSM
from uap.evaluation import evaluate
from uap.objectives import RandomClasses, Untargeted
from uap.universal.learn import learn
from uap.universal.perturbation import Perturbation
from uap.utils.errors import Kind

Use = Callable[[Any], object]

USES: dict[str, Use] = {
    "learn": lambda given: learn(Linear(), given, Untargeted(), progress=False),
    "FGSM": lambda given: FGSM(8)(Linear(), given, Untargeted()),
    "DAG": lambda given: DAG(steps=1)(Linear(), given, RandomClasses()),
    "evaluate": lambda given: evaluate(Linear(), given, FGSM(8), Untargeted(), progress=False),
}

IMAGES: dict[str, tuple[Tensor, Kind]] = {
    "a single image": (images(1)[0], "wrong_shape"),
    "channels last": (images(2).movedim(1, -1), "wrong_shape"),
    "one channel": (images(2)[:, :1], "wrong_shape"),
    "a scale from 0 to 1": (images(2) / 255, "out_of_range"),
    "normalized values": ((images(2) - 128) / 64, "out_of_range"),
    "a mask": (images(2) > 128, "wrong_type"),
    "complex numbers": (images(2).to(torch.complex64), "wrong_type"),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("use", USES)
def test_images_of_another_shape_dtype_or_scale_are_refused(use: str, name: str) -> None:
    given, kind = IMAGES[name]
    with refuses("images", kind):
        USES[use](given)


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_a_loader_are_checked_too(name: str) -> None:
    given, kind = IMAGES[name]
    with refuses("images", kind):
        USES["learn"](DataLoader(given, batch_size=2))  # type: ignore[arg-type]


def test_images_of_two_sizes_are_refused() -> None:
    with refuses("images", "wrong_shape", "(4, 5)"):
        USES["learn"](DataLoader([images(1, size)[0] for size in ((4, 5), (6, 5))], batch_size=1))  # type: ignore[arg-type]


def test_integer_images_are_grey_levels_whatever_their_largest_value() -> None:
    dark = torch.ones(1, 3, 4, 5, dtype=torch.uint8)
    assert FGSM(8)(Linear(), dark, Untargeted()).shape == dark.shape


def test_perturbation_of_another_size_is_refused_unless_it_is_a_tile() -> None:
    learned = learn(Linear(), images(4), Untargeted(), epsilon=4, progress=False)
    larger = images(2, (8, 9))
    with refuses("images", "wrong_shape", "8 x 9"):
        evaluate(Linear(), larger, learned, Untargeted(), progress=False)
    for tile in (learn(Linear(), images(4), Untargeted(), 4, tile=(4, 5), progress=False), Perturbation((4, 5), 4)):
        assert tile(larger).shape == larger.shape
