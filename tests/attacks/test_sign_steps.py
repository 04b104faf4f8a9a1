"""Tests of FGSM and its iterative variants against closed forms on a linear victim, and against the definition."""

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import DAG, FGSM, Attack, IterativeFGSM, SignSteps
from uap.losses import CosPGD, CrossEntropy, JensenShannon, Loss, Margin, SegPGD
from uap.objectives import Goal, LeastLikely, Objective, RandomClasses, Untargeted
from uap.utils.errors import InputError

ARNAB = (0.25, 0.5, 1, 2, 4, 8, 16, 32)


def gradient(victim: Linear, at: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the summed cross entropy by torch's function, in float64."""
    leaf = at.double().requires_grad_()
    loss = F.cross_entropy(victim.double()(leaf), labels, reduction="sum")
    (found,) = torch.autograd.grad(loss, leaf)
    victim.float()
    return found.float()


def written_out(victim: Linear, clean: Tensor, epsilon: float, steps: int, alpha: float, least_likely: bool) -> Tensor:
    """Run the attack of Arnab et al., section 2, with the labels of the authors' code."""
    current = clean.clone()
    own = victim(clean).argmax(1)
    for _ in range(steps):
        labels = victim(current).argmin(1) if least_likely else own
        direction = gradient(victim, current, labels).sign()
        current = current - alpha * direction if least_likely else current + alpha * direction
        current = torch.min(torch.max(current, clean - epsilon), clean + epsilon)
    return current


@pytest.mark.parametrize("epsilon", ARNAB)
@pytest.mark.parametrize("objective", [Untargeted(), LeastLikely()])
def test_fgsm_equals_the_definition(epsilon: float, objective: Objective) -> None:
    victim, clean = Linear(), images()
    expected = written_out(victim, clean, epsilon, 1, epsilon, isinstance(objective, LeastLikely))
    torch.testing.assert_close(FGSM(epsilon)(victim, clean, objective), expected)


@pytest.mark.parametrize(("epsilon", "steps"), list(zip(ARNAB, (1, 1, 2, 3, 5, 10, 20, 36), strict=True)))
@pytest.mark.parametrize("objective", [Untargeted(), LeastLikely()])
def test_iterative_fgsm_equals_the_definition(epsilon: float, steps: int, objective: Objective) -> None:
    victim, clean = Linear(), images()
    attack = IterativeFGSM(epsilon)
    adversarial = attack(victim, clean, objective)
    expected = written_out(victim, clean, epsilon, steps, 1.0, isinstance(objective, LeastLikely))
    torch.testing.assert_close(adversarial, expected)
    assert attack.cost.steps.tolist() == [steps, steps]


@pytest.mark.parametrize("epsilon", [0.25, 0.5])
@pytest.mark.parametrize("objective", [Untargeted(), LeastLikely()])
def test_iterative_fgsm_with_epsilon_below_1_is_a_single_step(epsilon: float, objective: Objective) -> None:
    victim, clean = Linear(), images()
    one, iterated = FGSM(epsilon)(victim, clean, objective), IterativeFGSM(epsilon)(victim, clean, objective)
    assert torch.equal(one, iterated)


def test_objectives_have_the_right_direction() -> None:
    victim, clean = Linear(), images()
    own, least = victim(clean).argmax(1, keepdim=True), victim(clean).argmin(1, keepdim=True)
    untargeted = victim(FGSM(4)(victim, clean, Untargeted())).softmax(1)
    targeted = victim(FGSM(4)(victim, clean, LeastLikely())).softmax(1)
    before = victim(clean).softmax(1)
    assert (untargeted.gather(1, own) <= before.gather(1, own)).all()
    assert (targeted.gather(1, least) >= before.gather(1, least)).all()


def test_pixel_range_is_clamped_only_with_clamp() -> None:
    victim, dark = Linear(), torch.full((1, 3, 2, 2), 2.0)
    assert FGSM(8)(victim, dark, Untargeted()).min() == -6
    assert FGSM(8, clamp=True)(victim, dark, Untargeted()).min() == 0


def test_attack_of_metzen_et_al_on_one_image() -> None:
    victim, clean = Linear(), images()
    attack = SignSteps()
    adversarial = attack(victim, clean, LeastLikely())
    assert (attack.epsilon, attack.alpha, attack.steps) == (10, 1, 60)
    assert (adversarial - clean).abs().max() == 10


def test_momentum_sums_normalized_gradients() -> None:
    victim, clean = Linear(), images(1)
    labels = victim(clean).argmax(1)
    current, velocity = clean.clone(), torch.zeros_like(clean)
    for _ in range(4):
        found = gradient(victim, current, labels)
        velocity = 0.5 * velocity + found / found.abs().mean()
        current = (clean + (current + velocity.sign() - clean).clamp(-3, 3)).clamp(0, 255)
    attack = SignSteps(3, steps=4, loss=CrossEntropy(None), momentum=0.5)
    torch.testing.assert_close(attack(victim, clean, Untargeted()), current)


ATTACKS: list[Attack] = [
    FGSM(4),
    IterativeFGSM(4),
    SignSteps(4, steps=5, loss=SegPGD(), random_start=True),
    DAG(gamma=4, steps=60),
    DAG("authors", gamma=4, steps=60),
]


def objective_for(attack: Attack) -> Objective:
    return RandomClasses() if isinstance(attack, DAG) else Untargeted()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("attack", ATTACKS)
def test_result_does_not_depend_on_the_batch(attack: Attack) -> None:
    victim, clean = Linear(), images(3)
    together = attack(victim, clean, objective_for(attack), seeded())
    alone = [attack(victim, image[None], objective_for(attack), seeded()) for image in clean]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("attack", ATTACKS)
def test_one_seed_gives_one_result(attack: Attack) -> None:
    victim, clean = Linear(), images(3)
    results = [attack(victim, clean, objective_for(attack), seeded()) for _ in range(2)]
    assert torch.equal(*results)


@pytest.mark.parametrize("attack", ATTACKS)
def test_locations_can_be_proposals(attack: Attack) -> None:
    clean = images()
    maps = attack(Linear(), clean, objective_for(attack), seeded())
    proposals = attack(Linear(flat=True), clean, objective_for(attack), seeded())
    torch.testing.assert_close(proposals, maps)


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.epsilon])
def test_every_pixel_stays_within_epsilon(attack: Attack) -> None:
    clean = images()
    change = attack(Linear(), clean, Untargeted(), seeded()) - clean
    assert 0 < change.abs().max() <= (attack.epsilon or 0)


def test_passes_are_counted_per_image() -> None:
    calls: list[int] = []

    class Counted(Linear):
        def forward(self, images: Tensor) -> Tensor:
            calls.append(len(images))
            return super().forward(images)

    for attack in ATTACKS:
        calls.clear()
        attack(Counted(), images(3), objective_for(attack), seeded())
        assert attack.cost.forwards == sum(calls[1:])  # after the clean pass
        assert 0 < attack.cost.backwards <= attack.cost.forwards


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0), JensenShannon(), Margin(), SegPGD(), CosPGD()])
def test_every_loss_works_with_both_signs(loss: Loss) -> None:
    victim, clean = Linear(), images()
    own = victim(clean).argmax(1)
    left = SignSteps(30, alpha=4, steps=20, loss=loss)(victim, clean, Untargeted())
    assert (victim(left).argmax(1) != own).float().mean() > 0.5

    class Next(Objective):
        def prepare(self, victim: Any, images: Any, clean_logits: Tensor, generator: Any = None) -> Goal:
            return Goal(clean_logits.topk(2, 1).indices[:, 1])

    runner_up = victim(clean).topk(2, 1).indices[:, 1]
    towards = SignSteps(30, alpha=4, steps=20, loss=loss)(victim, clean, Next())
    assert (victim(towards).argmax(1) == runner_up).float().mean() > 0.5


@pytest.mark.parametrize("setting", [{"epsilon": 0}, {"epsilon": 300}, {"alpha": 0}, {"steps": 0}, {"momentum": -1}])
def test_values_out_of_range_raise_error(setting: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SignSteps(**setting)
    assert not math.isnan(SignSteps().alpha)


@pytest.mark.parametrize("attack", [SignSteps(epsilon=4, steps=3), DAG(steps=3)])
def test_module_in_train_mode_is_attacked_in_eval_mode(attack: Attack) -> None:
    network = nn.Sequential(Linear(6), nn.BatchNorm2d(6), nn.Dropout(0.5))
    before = copy.deepcopy(network.state_dict())
    objective, clean = LeastLikely(), images(3)
    result = attack(network, clean, objective)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(result, attack(network.eval(), clean, objective))


def test_mode_is_restored_after_an_error() -> None:
    network = nn.Sequential(Linear(), nn.Dropout())
    with refuses("objective", "not_supported"):
        DAG()(network, images(), Untargeted())
    assert network.training


def test_a_random_start_depends_on_the_image_alone() -> None:
    clean = images(3)
    attack = SignSteps(steps=1, alpha=1e-3, random_start=True)
    together = attack(Linear(), clean, Untargeted(), torch.Generator().manual_seed(1))
    alone = attack(Linear(), clean[1:2], Untargeted(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(together[1:2], alone)
    other = attack(Linear(), clean[1:2], Untargeted(), torch.Generator().manual_seed(2))
    assert (other - alone).abs().max() > 1
