"""Tests that settings, contents and code of objects are told apart."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from uap.attacks import DAG, FGSM
from uap.defenses import Defense, GaussianNoise, Jpeg
from uap.objectives import Shape
from uap.utils.plain_settings import plain_settings
from uap.victims import Defended, DenseCRF, Multiscale, Victim


class Scaled(Defense):
    """Multiplies images by a buffer."""

    factor: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def exact(self, images: Tensor) -> Tensor:
        return images * self.factor


def victim() -> Victim:
    torch.manual_seed(0)
    return Victim(nn.Conv2d(3, 2, 1), classes=["road", "sky"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FGSM(1), FGSM(2)),
        (torch.zeros(2), torch.ones(2)),
        (torch.zeros(2), torch.zeros(1, 2)),
        (np.zeros(2), np.ones(2)),
        ({"a": 1}, {"a": 2}),
        (partial(DAG, variant="paper"), partial(DAG, variant="authors")),
        (victim, Scaled),
        (Shape("circle"), Shape("square")),
        (Scaled(1.0), Scaled(0.5)),
        (Jpeg(75), Jpeg(50)),
    ],
)
def test_different_things_have_different_settings(one: Any, other: Any) -> None:
    assert plain_settings(one) == plain_settings(one)
    assert plain_settings(one) != plain_settings(other)


def test_the_state_of_a_generator_is_no_setting() -> None:
    defense = GaussianNoise(4)
    before = plain_settings(defense)
    defense(torch.zeros(1, 3, 4, 4))
    assert plain_settings(defense) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda v: Defended(v, [Scaled(1.0)]), lambda v: Defended(v, [Scaled(0.5)])),
        (lambda v: Defended(v, [GaussianNoise(4)]), lambda v: Defended(v, [GaussianNoise(4, seed=1)])),
        (lambda v: DenseCRF(v), lambda v: DenseCRF(v, features="attached")),
        (lambda v: Multiscale(v, (0.5,)), lambda v: Multiscale(v, (0.75,))),
    ],
)
def test_different_wrappers_have_different_cache_keys(one: Any, other: Any) -> None:
    net = victim()
    assert one(net).cache_key() == one(net).cache_key()
    assert one(net).cache_key() != other(net).cache_key()
    assert one(net).cache_key() != net.cache_key()
