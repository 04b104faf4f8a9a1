"""Tests of the names of images in the message about a gradient that is not finite."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from uap.universal.callbacks import finite_gradient
from uap.universal.callbacks.finite_gradient import FiniteGradient
from uap.utils.errors import InputError

OPTIMIZER = torch.optim.SGD([torch.zeros(1)])


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Any:
    items = [SimpleNamespace(name=f"frame_{number}") for number in range(9)]
    data = SimpleNamespace(datasets={"train": SimpleNamespace(items=items)})
    monkeypatch.setattr(finite_gradient, "data_of", lambda trainer: data)
    return SimpleNamespace(precision_plugin=SimpleNamespace(scaler=None), global_step=4, world_size=1)


def backward(check: FiniteGradient, index: list[int], bad: list[int], value: float = torch.nan) -> Any:
    """Run the backward pass of a batch; the images `bad` have a gradient that is not finite. Return the attack."""
    learned = torch.zeros(3, 2, 2, requires_grad=True)
    images = torch.zeros(len(index), 3, 2, 2) + learned
    check.watch(images, torch.tensor(index))
    slope = torch.ones_like(images)
    slope[[index.index(number) for number in bad], 0, 0, 0] = value
    (images * slope).sum().backward()  # type: ignore[no-untyped-call]
    return SimpleNamespace(perturbation=SimpleNamespace(parameter=learned))


def test_finite_gradient_raises_no_error(trainer: Any) -> None:
    check = FiniteGradient()
    check.on_before_optimizer_step(trainer, backward(check, [3, 1], []), OPTIMIZER)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_images_with_a_non_finite_gradient_are_named(trainer: Any, value: float) -> None:
    check = FiniteGradient()
    attack = backward(check, [3, 1, 7], [1, 7], value)
    with pytest.raises(InputError, match=r"not finite at step 4: 1 of 12 entries, from frame_1, frame_7\. The"):
        check.on_before_optimizer_step(trainer, attack, OPTIMIZER)


def test_at_most_three_images_are_named(trainer: Any) -> None:
    check = FiniteGradient()
    with pytest.raises(InputError, match=r"entries, from frame_2, frame_3, frame_4 and 2 more\. The"):
        check.on_before_optimizer_step(trainer, backward(check, [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6]), OPTIMIZER)


def test_images_of_another_rank_are_named(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(found: list[list[str]], own: list[str]) -> None:
        found[:] = [["frame_8"], own]

    trainer.world_size = 2
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    check = FiniteGradient()
    with pytest.raises(InputError, match=r"entries, from frame_8, frame_0\. The"):
        check.on_before_optimizer_step(trainer, backward(check, [0, 1], [0]), OPTIMIZER)


def test_images_of_a_skipped_step_are_not_named_later(trainer: Any) -> None:
    check = FiniteGradient()
    trainer.precision_plugin.scaler = SimpleNamespace(get_scale=lambda: 65536.0)
    check.on_before_optimizer_step(trainer, backward(check, [0, 1], [0, 1], torch.inf), OPTIMIZER)
    trainer.precision_plugin.scaler = SimpleNamespace(get_scale=lambda: 0.5)  # the scale cannot get smaller
    with pytest.raises(InputError, match=r"entries, from frame_5\. The"):
        check.on_before_optimizer_step(trainer, backward(check, [4, 5], [5]), OPTIMIZER)
