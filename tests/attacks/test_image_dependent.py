"""Tests of the attack on single images against closed forms."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR

from tests.helpers import Brightness, Contrast, NotFinite, refuses, scene
from uap.data.batch import Batch, Prepared
from uap.losses import CrossEntropy
from uap.objectives import Goal, StaticTarget
from uap.universal.image_attack import ImageAttack
from uap.universal.optim import CosineToEnd, SignSGD
from uap.victims import Victim

SIZE = (24, 32)


def attack_on(network: nn.Module, **settings: Any) -> ImageAttack:
    victim = Victim(network, classes=["sky", "building"])
    paper: dict[str, Any] = {
        "loss": CrossEntropy(),
        "optimizer": lambda p: SignSGD(p, lr=1, momentum=0),
        "lr_scheduler": lambda o: ConstantLR(o, factor=1),
    }
    return ImageAttack(victim=victim, objective=StaticTarget(image="t0.png"), size=SIZE, **paper | settings)


def batch_of(images: list[NDArray[np.uint8]], target: NDArray[np.uint8]) -> Batch:
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    targets = torch.from_numpy(target).expand(len(images), *SIZE)
    return {
        "image": stacked,
        "target": targets,
        "hidden": torch.zeros_like(targets, dtype=torch.bool),
        "labels": targets,
        "index": torch.arange(len(images)),
        "weight": torch.ones(len(images)),
    }


def scenes(count: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return batch_of([scene(rng, SIZE)[0] for _ in range(count)], scene(rng, SIZE)[1])


def by_hand(image: NDArray[np.uint8], target: NDArray[np.uint8], steps: int, step: float, epsilon: float) -> Any:
    """Return the result of sign steps for each pixel until the target has a probability above 0.75, within epsilon."""
    noise = np.zeros(image.shape)
    direction = np.where(target == 1, 1, -1)
    for _ in range(steps):
        margin = direction * (np.clip(image + noise, 0, 255).mean(2) - 128)
        noise += np.where(margin < np.log(3), step * direction, 0)[..., None]
        noise = np.clip(noise, -epsilon, epsilon)
    return np.clip(image + noise, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize(("steps", "step", "epsilon"), [(60, 1, 45), (7, 10, 255), (9, 10, 60)])
def test_pixels_change_until_the_target_is_confident(steps: int, step: float, epsilon: float) -> None:
    batch = scenes(3)
    attack = attack_on(Brightness(), steps=steps, epsilon=epsilon, optimizer=lambda p: SignSGD(p, step, 0))
    learned = attack.learn(batch).permute(0, 2, 3, 1).numpy()
    for image, found in zip(batch["image"], learned, strict=True):
        assert np.array_equal(
            found, by_hand(image.permute(1, 2, 0).numpy(), batch["target"][0].numpy(), steps, step, epsilon)
        )


def test_default_is_60_steps() -> None:
    batch = batch_of([np.full((*SIZE, 3), 100, np.uint8)], np.ones(SIZE, np.uint8))
    attack = attack_on(Contrast(), epsilon=100, loss=CrossEntropy(confidence=None))
    best = 60 * torch.tensor(Contrast.WEIGHTS).sign().view(3, 1, 1)
    assert torch.equal(attack.learn(batch)[0].float(), 100 + best.expand(3, *SIZE))


def test_schedule_has_the_number_of_steps() -> None:
    batch = batch_of([np.full((*SIZE, 3), 100, np.uint8)], np.ones(SIZE, np.uint8))
    loss, optimizer = CrossEntropy(confidence=None), lambda p: SignSGD(p, 8)
    attack = attack_on(Contrast(), epsilon=100, steps=4, loss=loss, optimizer=optimizer, lr_scheduler=CosineToEnd)
    way = sum(8 * (1 + np.cos(np.pi * t / 4)) / 2 for t in range(4))
    assert set((attack.learn(batch).int() - 100).abs().flatten().tolist()) == {round(way)}


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_perturbation_does_not_depend_on_the_batch(momentum: float) -> None:
    batch = scenes(3)
    batch["image"][1] //= 2  # with other gradients than the others
    attack = attack_on(Brightness(), steps=9, epsilon=40, optimizer=lambda p: SignSGD(p, 10, momentum))
    together = attack.learn(batch)
    for i in range(3):
        alone = attack.learn(batch_of([batch["image"][i].permute(1, 2, 0).numpy()], batch["target"][0].numpy()))
        assert torch.equal(alone[0], together[i])
    assert not torch.equal(together[0].int() - batch["image"][0].int(), together[1].int() - batch["image"][1].int())


class Recorder(CrossEntropy):
    """A loss that records its progress argument."""

    def __call__(self, logits: Tensor, goal: Goal, progress: float = 0.0) -> Tensor:
        seen.append(progress)
        return super().__call__(logits, goal, progress)


seen: list[float] = []


def test_loss_gets_the_progress_on_its_batch() -> None:
    attack = attack_on(Brightness(), steps=4, loss=Recorder())
    for _ in range(2):
        seen.clear()
        attack.learn(scenes(2))
        assert seen == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("settings", [{"parametrization": "tanh"}, {"start_epsilon": 30.0}])
def test_saved_images_are_within_epsilon(settings: dict[str, Any]) -> None:
    batch = batch_of([np.full((*SIZE, 3), 100, np.uint8)], np.ones(SIZE, np.uint8))
    attack = attack_on(Brightness(), steps=20, epsilon=10, optimizer=lambda p: SignSGD(p, 4, 0), **settings)
    assert set((attack.learn(batch).int() - 100).flatten().tolist()) == {10}


def test_half_precision_keeps_the_gradient() -> None:
    victim = Victim(Faint(), classes=["sky", "building"])
    attack = ImageAttack(victim=victim, objective=StaticTarget(image="t0.png"), size=(256, 256), steps=3)
    images, target = torch.full((1, 3, 256, 256), 100, dtype=torch.uint8), torch.ones(1, 256, 256, dtype=torch.uint8)
    batch: Prepared = {"target": target, "hidden": target > 1}
    with torch.autocast("cpu", torch.float16):
        learned = attack.learn({"image": images, **batch})  # type: ignore[typeddict-item]
    assert set(learned.flatten().tolist()) == {104}  # steps of 2, 1.5 and 0.5


class Faint(Brightness):
    """A network whose logits hardly depend on the image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 300


def test_non_finite_gradient_raises_error() -> None:
    with refuses(None, "not_finite", "step 0"):
        attack_on(NotFinite()).learn(scenes(1))


def test_steps_below_1_raise_error() -> None:
    with refuses("model.steps", "out_of_range"):
        attack_on(Brightness(), steps=0)


def test_ensemble_raises_error() -> None:
    member = Victim(Brightness(), classes=["sky", "building"])
    with refuses("model.ensemble", "not_supported"):
        attack_on(Brightness(), ensemble=[member])
