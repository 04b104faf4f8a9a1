"""Tests of learning in memory on victims whose best perturbation is known."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.attacks.linear import Linear, images
from uap.losses import CrossEntropy
from uap.objectives import Goal, LeastLikely, RandomClasses, Shape, Untargeted
from uap.objectives.base import Model
from uap.universal.learn import learn
from uap.utils.batches import Batches
from uap.utils.errors import InputError


class TwoClasses(nn.Module):
    """A network with a linear score for class 1; its best perturbation is epsilon times the signs of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor([0.02, -0.03, 0.01]))
        self.weight: Tensor

    def forward(self, images: Tensor) -> Tensor:
        score = (self.weight.view(1, 3, 1, 1) * (images - 128)).sum(1, keepdim=True)
        return torch.cat([-score, score], 1)


def bright(count: int = 6) -> Tensor:
    """Return images of class 0, away from the limits of the pixel range."""
    return torch.tensor([100.0, 140.0, 120.0]).view(1, 3, 1, 1).expand(count, 3, 6, 8).clone()


def test_untargeted_perturbation_has_the_signs_of_the_gradient() -> None:
    delta = learn(TwoClasses(), bright(), Untargeted(), epsilon=9, passes=20, progress=False)
    expected = 9 * torch.tensor([0.02, -0.03, 0.01]).sign().view(3, 1, 1).expand(3, 6, 8)
    torch.testing.assert_close(delta.proto.detach(), expected)


def test_the_gradients_of_the_networks_are_combined_as_asked() -> None:
    def learned(combine: Callable[[Tensor], Tensor] | None, ensemble: list[Model]) -> Tensor:
        return learn(
            Linear(3), images(4, (8, 8)), Untargeted(), ensemble=ensemble, tile=(4, 4), combine=combine, progress=False
        ).proto.detach()

    other: list[Model] = [Linear(5)]
    torch.testing.assert_close(learned(lambda gradients: gradients.sum(0), other), learned(None, other))
    assert torch.equal(learned(lambda gradients: gradients[0], other), learned(None, []))
    assert not torch.equal(learned(lambda gradients: gradients[1], other), learned(None, []))


def test_tile_is_repeated_and_within_epsilon() -> None:
    delta = learn(TwoClasses(), bright(), Untargeted(), epsilon=2.5, tile=(4, 3), progress=False)
    assert delta.proto.shape == (3, 4, 3)
    assert delta.proto.detach().abs().max() <= 2.5
    assert delta(bright()).shape == (6, 3, 6, 8)


@pytest.mark.parametrize("kind", ["tensor", "dataset", "loader", "mapping"])
def test_images_can_be_a_tensor_a_data_set_or_a_loader(kind: str) -> None:
    tensor = bright(5)
    given = {
        "tensor": tensor,
        "dataset": TensorDataset(tensor),
        "loader": DataLoader(tensor, batch_size=2),  # type: ignore[arg-type]
        "mapping": DataLoader([{"image": image} for image in tensor], batch_size=2),  # type: ignore[arg-type]
    }[kind]
    delta = learn(TwoClasses(), given, Untargeted(), epsilon=4, passes=10, progress=False)  # type: ignore[arg-type]
    assert delta.proto.abs().min() == 4


@pytest.mark.parametrize("objective", [Untargeted(), LeastLikely(), Shape("square", target_class=1)])
def test_one_seed_gives_one_perturbation(objective: Untargeted) -> None:
    results = [learn(Linear(), images(5, (8, 9)), objective, seed=s, progress=False).proto for s in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_clean_predictions_are_computed_once_per_image() -> None:
    seen: list[int] = []

    class Counted(TwoClasses):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(len(images))
            return super().forward(images)

    learn(Counted(), bright(6), Untargeted(), passes=3, batch_size=2, progress=False)
    assert sum(seen) == 6 + 3 * 6


def test_locations_can_be_proposals() -> None:
    maps, flat = (learn(Linear(flat=flat), images(4), Untargeted(), progress=False).proto for flat in (False, True))
    torch.testing.assert_close(maps, flat)


class Recorded(RandomClasses):
    """An objective that stores the first label of each image by the brightness of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[float, list[int]] = {}

    def prepare(self, victim: Model, images: Tensor, clean_logits: Tensor, generator: Any = None) -> Goal:
        goal = super().prepare(victim, images, clean_logits, generator)
        for image, labels in zip(images, goal.labels, strict=True):
            self.seen.setdefault(float(image.mean()), []).append(int(labels.flatten()[0]))
        return goal


@pytest.mark.parametrize("is_loader", [False, True])
def test_an_image_keeps_its_sampled_target_in_all_passes(is_loader: bool) -> None:
    """The shuffled loader gives no index."""
    given: Any = images(6)
    seen = []
    for seed in (0, 0, 1):
        objective = Recorded()
        data = DataLoader(given, batch_size=2, shuffle=True) if is_loader else given
        learn(Linear(12), data, objective, passes=3, batch_size=4, seed=seed, progress=False)
        assert len(objective.seen) == 6
        assert all(len(labels) == 3 and len(set(labels)) == 1 for labels in objective.seen.values())
        seen.append(objective.seen)
    assert seen[0] == seen[1] != seen[2]
    assert len({labels[0] for labels in seen[0].values()}) > 1


@pytest.mark.filterwarnings("default:lr is")
def test_steps_too_small_for_epsilon_give_a_warning() -> None:
    with pytest.warns(UserWarning, match="lr is 0.01: the 8 steps .* below epsilon 10"):
        learn(TwoClasses(), bright(4), Untargeted(), passes=4, batch_size=2, lr=0.01, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(TwoClasses(), bright(4), Untargeted(), passes=5, batch_size=2, progress=False)


def test_module_in_train_mode_is_attacked_in_eval_mode() -> None:
    network = nn.Sequential(TwoClasses(), nn.BatchNorm2d(2), nn.Dropout(0.5))
    network[2].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learned = learn(network, bright(), Untargeted(), progress=False)
    assert [module.training for module in network] == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(learned.proto, learn(network.eval(), bright(), Untargeted(), progress=False).proto)


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        (torch.zeros(0, 3, 4, 4), {}),
        (torch.full((2, 3, 4, 4), 9.0), {"seed": -1}),
        (torch.full((1, 4, 4), 9.0), {}),
        (torch.rand(2, 3, 4, 4), {}),  # on the scale from 0 to 1
        (torch.full((2, 3, 4, 4), 9.0), {"passes": 0}),
        (torch.full((2, 3, 4, 4), 9.0), {"epsilon": 0}),
        (torch.full((2, 3, 4, 4), 9.0), {"loss": CrossEntropy(), "lr": 0}),
    ],
)
def test_invalid_input_raises_error(given: Tensor, setting: dict[str, object]) -> None:
    with pytest.raises(InputError):
        learn(TwoClasses(), given, Untargeted(), progress=False, **setting)  # type: ignore[arg-type]


def test_non_finite_gradient_raises_error() -> None:
    class Broken(TwoClasses):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) + (images.mean(1, keepdim=True) - 1e30).sqrt().nan_to_num()

    with pytest.raises(InputError, match="not finite"):
        learn(Broken(), bright(), Untargeted(), progress=False)


def test_nothing_is_written(tmp_path: Path) -> None:
    learn(TwoClasses(), bright(), Untargeted(), progress=False)
    assert not list(tmp_path.iterdir())


def test_batches_give_labels_and_positions() -> None:
    labels = torch.arange(3)[:, None, None].expand(3, 6, 8)
    first, second = Batches(TensorDataset(bright(3), labels), batch_size=2)
    assert first.index is not None
    assert second.labels is not None
    assert (first.index.tolist(), torch.unique(second.labels).tolist()) == ([0, 1], [2])
