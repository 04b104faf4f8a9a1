"""Objectives on logits whose goals are known."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
import torch
from torch import Tensor

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.objectives import (
    Goal,
    HideClasses,
    LeastLikely,
    Objective,
    Picture,
    PureClass,
    RandomClasses,
    Shape,
    SideBySideTargets,
    StaticTarget,
    SwapClasses,
    Untargeted,
)
from uap.objectives.shape import Form, shape_mask
from uap.utils.class_tables import LabelTable
from uap.utils.errors import InputError


def test_reached_counts_what_the_attacker_wants_and_nothing_ignored() -> None:
    logits = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [1.0, 3.0, 1.0, 1.0]]])  # predicts 0, 1, 1, 1
    labels = torch.tensor([[0, 0, 1, 255]])
    assert Goal(labels).reached(logits).tolist() == [[True, False, True, False]]
    assert Goal(labels, sign=-1).reached(logits).tolist() == [[False, True, False, False]]


def test_least_likely_follows_the_current_image() -> None:
    clean, current = torch.tensor([[[3.0], [2.0], [1.0]]]), torch.tensor([[[1.0], [2.0], [3.0]]])
    objective = LeastLikely()
    goal = objective.prepare(lambda images: clean, images(1), clean)
    assert goal.labels.tolist() == [[2]]
    assert objective.refresh(goal, current).labels.tolist() == [[0]]


@pytest.mark.parametrize("excluded", [(), (4,), (3, 4), (0,), (1, 4), (0, 1, 2, 3, 4)])
def test_least_likely_class_is_the_first_smallest_logit_that_is_not_excluded(excluded: tuple[int, ...]) -> None:
    logits = torch.randint(0, 3, (2, 5, 6, 7), generator=torch.Generator().manual_seed(0)).float()
    found = LeastLikely().refresh(Goal(logits.argmin(1), excluded=excluded), logits).labels
    expected = logits.clone()
    expected[:, list(excluded)] = torch.inf
    assert torch.equal(found, expected.argmin(1))


def test_untargeted_is_away_from_the_clean_prediction() -> None:
    victim, clean = Linear(), images()
    goal = Untargeted().prepare(victim, clean, victim(clean))
    assert goal.sign == -1
    assert torch.equal(goal.labels, victim(clean).argmax(1))


def test_random_classes_map_present_to_absent_one_to_one_and_keep_what_is_kept() -> None:
    logits = torch.eye(8)[None, :, [0, 1, 1, 2, 5]].repeat(20, 1, 1)
    goal = RandomClasses(keep=[0]).prepare(lambda images: logits, images(20), logits, torch.Generator().manual_seed(0))
    assert (goal.labels[:, 0] == 0).all()
    for labels in goal.labels.tolist():
        assert labels[1] == labels[2]
        assert len({labels[1], labels[3], labels[4]}) == 3
        assert {labels[1], labels[3], labels[4]} <= {3, 4, 6, 7}
    assert len({tuple(labels) for labels in goal.labels.tolist()}) > 5  # each image has a map of its own


def test_random_classes_without_an_absent_class_still_leave_the_own_one() -> None:
    logits = torch.eye(3)[None]
    goal = RandomClasses().prepare(lambda images: logits, images(1), logits)
    assert (goal.labels != logits.argmax(1)).all()
    with pytest.raises(InputError):
        RandomClasses(keep=[0, 1]).prepare(lambda images: logits, images(1), logits)


@pytest.mark.parametrize(("form", "area"), [("square", 0.25), ("circle", 0.196), ("diamond", 0.125), ("strip", 0.5)])
def test_shapes_have_their_area(form: Form, area: float) -> None:
    mask = shape_mask(form, 200, 200)
    assert mask.float().mean().item() == pytest.approx(area, abs=0.006)
    assert torch.equal(mask, mask.flip(0))
    assert torch.equal(mask, mask.flip(1))


def test_a_shape_takes_a_class_that_is_not_in_the_image() -> None:
    victim, clean = Linear(12), images(4, (20, 30))
    prediction = victim(clean).argmax(1)
    goal = Shape("square").prepare(victim, clean, victim(clean), torch.Generator().manual_seed(0))
    assert goal.region is not None
    for labels, region, own in zip(goal.labels, goal.region, prediction, strict=True):
        (chosen,) = torch.unique(labels[region]).tolist()
        assert not (own == chosen).any() or len(own.unique()) == 12
        assert torch.equal(labels[~region], own[~region])


@pytest.mark.parametrize("form", get_args(Form))
def test_a_shape_with_both_classes_given_is_the_same_for_every_image(form: Form) -> None:
    victim, clean = Linear(), images(3, (8, 10))
    labels = Shape(form, target_class=2, background=1).prepare(victim, clean, victim(clean)).labels
    assert torch.unique(labels).tolist() == [1, 2]
    assert torch.equal(labels[0], labels[2])


def test_a_shape_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(InputError):
        Shape("star")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        Shape("circle", scale=0)
    logits = torch.zeros(1, 3, 7)
    with pytest.raises(InputError, match=r"\(N, C, H, W\)"):
        Shape("circle").prepare(lambda images: logits, images(1), logits)
    maps = torch.zeros(1, 3, 4, 4)
    with pytest.raises(InputError, match="names"):
        Shape("circle", target_class="person").prepare(lambda images: maps, images(1), maps)


def test_only_objectives_with_a_region_have_one() -> None:
    victim, clean = Linear(), images(2)
    static = StaticTarget.of_labels(torch.zeros(4, 5, dtype=torch.int64))
    assert static.prepare(victim, clean, victim(clean)).region is None
    assert Untargeted().prepare(victim, clean, victim(clean)).region is None
    for objective in (static, Untargeted(), LeastLikely(), RandomClasses(), Shape("square", 1)):
        assert (objective.prepare(victim, clean, victim(clean)).region is not None) == objective.has_region


@pytest.mark.parametrize("objective", [RandomClasses(), Shape("square"), LeastLikely()])
def test_an_output_without_a_class_is_never_a_target(objective: Objective) -> None:
    class Padded:
        table = LabelTable(("road", "sky", "person", "void"), ((0, 0, 0),) * 4)

        def __call__(self, images: Tensor) -> Tensor:
            return torch.eye(4)[0].view(1, 4, 1, 1).expand(len(images), 4, 8, 8)  # predicts road everywhere

    victim, clean = Padded(), images(20)
    goals = [objective.prepare(victim, clean, victim(clean), torch.Generator().manual_seed(seed)) for seed in range(5)]
    targets = torch.stack([goal.labels for goal in goals])
    expected = {1} if isinstance(objective, LeastLikely) else {1, 2}  # the first of equal logits
    assert set(targets.flatten().tolist()) - {0} == expected


class WithVoid:
    """A network with two classes between two outputs that have none, which are the least likely ones."""

    table = LabelTable(("void", "road", "sky", "void1"), ((0, 0, 0),) * 4)

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits  # (4, P)

    def __call__(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1, -1)


def test_least_likely_chooses_no_output_without_a_class_in_later_steps_either() -> None:
    victim = WithVoid(torch.tensor([[0.0, -9.0], [2.0, 1.0], [1.0, 2.0], [-9.0, 0.0]]))
    objective, clean = LeastLikely(), images(1)
    goal = objective.prepare(victim, clean, victim(clean))
    assert goal.labels.tolist() == [[2, 1]]
    current = torch.tensor([[[-9.0, -9.0], [1.0, 1.0], [2.0, 2.0], [-9.0, -9.0]]])
    assert objective.refresh(goal, current).labels.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "predicted", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 3, 1], [0, 1, 2, 3], [0, 3, 0, 3], [2, 2, 0, 0]]
)
def test_random_classes_replace_every_class_by_another_that_has_a_name(predicted: list[int]) -> None:
    logits = torch.eye(4)[:, predicted]
    victim, clean = WithVoid(logits), images(5)
    goal = RandomClasses().prepare(victim, clean, victim(clean), torch.Generator().manual_seed(0))
    assert set(goal.labels.flatten().tolist()) <= {1, 2}
    assert (goal.labels != torch.tensor(predicted)).all()


def test_a_shape_refuses_a_class_that_the_network_does_not_have() -> None:
    maps = torch.zeros(1, 3, 4, 4)
    for settings in ({"target_class": 3}, {"target_class": -1}, {"background": 3}):
        with refuses(None, "out_of_range"):
            Shape("circle", **settings).prepare(lambda images: maps, images(1), maps)


def test_random_classes_keep_the_background_of_the_table() -> None:
    table = LabelTable(("sky", "car", "person", "void", "sign"), ((0, 0, 0),) * 5)
    logits = torch.eye(5)[None][:, :, [0, 1, 1, 2]]  # predicts sky, car, car, person
    victim = SimpleNamespace(table=table)
    labels = RandomClasses("stuff").prepare(cast(Any, victim), torch.zeros(1, 3, 1, 4), logits).labels[0].tolist()
    assert labels[0] == 0
    assert labels[1] == labels[2]
    assert set(labels[1:]) <= {1, 2, 4}
    assert labels[1] != 1
    assert labels[3] != 2


def test_random_classes_that_do_not_exist_are_refused() -> None:
    logits = torch.eye(3)[None]
    with pytest.raises(InputError) as error:
        RandomClasses([7]).prepare(lambda images: logits, torch.zeros(1, 3, 1, 3), logits)
    assert error.value.setting == "keep"
    with pytest.raises(InputError):
        RandomClasses([-1])
    with pytest.raises(InputError):
        RandomClasses(cast(Any, "sky"))


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: RandomClasses(["zebra"]), "keep"),  # type: ignore[list-item]
        (lambda: RandomClasses([1.5]), "keep"),  # type: ignore[list-item]
        (lambda: RandomClasses(3), "keep"),  # type: ignore[arg-type]
        (lambda: Picture("face", "road"), "classes"),  # type: ignore[arg-type]
        (lambda: Picture("face", [1.5]), "classes"),  # type: ignore[list-item]
        (lambda: HideClasses("person"), "model.objective.hide"),  # type: ignore[arg-type]
        (lambda: HideClasses([3]), "model.objective.hide"),  # type: ignore[list-item]
        (lambda: SwapClasses(["person"]), "model.objective.swap"),  # type: ignore[arg-type]
        (lambda: SwapClasses({1: 2}), "model.objective.swap"),  # type: ignore[dict-item]
        (lambda: SideBySideTargets([3]), "objectives"),  # type: ignore[list-item]
        (lambda: SideBySideTargets(3), "objectives"),  # type: ignore[arg-type]
        (lambda: StaticTarget(3), "model.objective"),  # type: ignore[arg-type]
    ],
)
def test_values_of_another_type_are_refused(make: Callable[[], Objective], setting: str) -> None:
    with refuses(setting, "wrong_type"):
        make()


@pytest.mark.parametrize("name", [1.5, True, ["road"]])
def test_a_class_is_an_id_or_a_name(name: object) -> None:
    victim = SimpleNamespace(table=LabelTable(("road", "sky"), ((0, 0, 0),) * 2))
    for objective in (PureClass(name), Shape(target_class=name)):  # type: ignore[arg-type]
        with pytest.raises(InputError) as error:
            objective.prepare(cast(Any, victim), torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, 2))
        assert error.value.kind == "wrong_type"
