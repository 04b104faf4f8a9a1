"""Tests of optimizers against the formula of the paper and numpy."""

from math import cos, inf, pi

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.helpers import refuses
from uap.universal.optim import CosineToEnd, GradientAggregation, SignSGD, smoothed


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


def take(optimizer: Optimizer, gradient: Tensor) -> None:
    optimizer.param_groups[0]["params"][0].grad = gradient
    optimizer.step()


def scheduled(steps: int, lr: float = 2.0, final: float = 0.1) -> tuple[SignSGD, CosineToEnd]:
    optimizer = SignSGD([parameter(0.0)], lr)
    schedule = CosineToEnd(optimizer, final)
    schedule.total_steps = steps
    return optimizer, schedule


def rates(optimizer: SignSGD, schedule: CosineToEnd, steps: int) -> list[float]:
    """Return the step size after each step."""
    seen = []
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        seen.append(float(optimizer.param_groups[0]["lr"]))
    return seen


def half_cosine(step: int, steps: int, lr: float = 2.0, final: float = 0.1) -> float:
    return lr * (final + (1 - final) * 0.5 * (1 + cos(pi * step / steps)))


def test_step_without_momentum_equals_the_paper() -> None:
    proto = parameter(1.0, 1.0, 1.0, -2.0)
    optimizer = SignSGD([proto], lr=0.5)
    take(optimizer, torch.tensor([1e-9, -300.0, 0.0, 2.0]))
    assert proto.tolist() == [0.5, 1.5, 1.0, -2.5]
    take(optimizer, torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    assert proto.tolist() == [1.0, 2.0, 0.5, -3.0]


@pytest.mark.parametrize("sigma", [1.5, 2.0, 5.0])
@pytest.mark.parametrize("size", [(16, 24), (15, 9)])
def test_smoothing_equals_a_periodic_gaussian_filter(size: tuple[int, int], sigma: float) -> None:
    gradient = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(gradient.double().numpy(), (0, sigma, sigma), mode="wrap", truncate=12)
    np.testing.assert_allclose(smoothed(gradient, sigma).numpy(), expected, atol=0.002 * abs(expected).max())


def test_steps_take_the_signs_of_the_smoothed_gradient() -> None:
    gradient = torch.zeros(1, 9, 9)
    gradient[0, 4, 4], gradient[0, 0, 0] = 5.0, -1.0
    proto = nn.Parameter(torch.zeros(1, 9, 9))
    take(SignSGD([proto], lr=1.0, smoothing=2.0), gradient)
    assert torch.equal(-proto.detach(), smoothed(gradient, 2.0).sign())
    assert (proto.detach()[0, 2:7, 2:7] == -1).all()


def test_a_checkpoint_without_smoothing_is_continued_without_it() -> None:
    proto, state = parameter(0.0), SignSGD([parameter(0.0)]).state_dict()
    del state["param_groups"][0]["smoothing"]
    optimizer = SignSGD([proto])
    optimizer.load_state_dict(state)
    take(optimizer, torch.tensor([1.0]))
    assert proto.tolist() == [-2.0]


def test_step_without_momentum_ignores_past_gradients() -> None:
    proto = parameter(0.0)
    optimizer = SignSGD([proto], 1.0)
    for gradient in (1e6, -1e-6):
        take(optimizer, torch.tensor([gradient]))
    assert proto.tolist() == [0.0]


def test_step_does_not_change_the_gradient() -> None:
    for momentum in (0.0, 0.9):
        proto, gradient = parameter(0.0, 0.0), torch.tensor([3.0, -5.0])
        take(SignSGD([proto], 1.0, momentum=momentum), gradient)
        assert gradient.tolist() == [3.0, -5.0]


def test_momentum_sums_normalized_gradients() -> None:
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(5, 3, 4, 5)) * 10.0 ** rng.integers(-6, 6, (5, 1, 1, 1))
    proto = nn.Parameter(torch.zeros(3, 4, 5, dtype=torch.float64))
    optimizer = SignSGD([proto], lr=0.7, momentum=0.9)

    expected, accumulated = np.zeros((3, 4, 5)), np.zeros((3, 4, 5))
    for gradient in gradients:
        accumulated = 0.9 * accumulated + gradient / np.abs(gradient).mean()
        expected = expected - 0.7 * np.sign(accumulated)
        take(optimizer, torch.from_numpy(gradient))
        np.testing.assert_allclose(proto.detach().numpy(), expected, atol=1e-12)


def test_parameters_have_separate_momentum() -> None:
    pair = [parameter(0.0, 0.0), parameter(0.0, 0.0)]
    optimizer = SignSGD(pair, 1.0, momentum=0.9)
    for gradient in (torch.tensor([1.0, 1.0]), torch.tensor([1.0, -0.2])):
        for proto, scale in zip(pair, (1.0, 1e6), strict=True):
            proto.grad = gradient * scale
        optimizer.step()
    assert [proto.tolist() for proto in pair] == [[-2.0, -2.0]] * 2


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_missing_or_zero_gradient_does_not_change_the_parameter(momentum: float) -> None:
    proto, without = parameter(1.0, 2.0), parameter(3.0)
    optimizer = SignSGD([proto, without], 1.0, momentum=momentum)
    take(optimizer, torch.zeros(2))
    assert proto.tolist() == [1.0, 2.0]
    assert without.tolist() == [3.0]
    take(optimizer, torch.tensor([1.0, -1.0]))
    assert proto.tolist() == [0.0, 3.0]


def test_step_evaluates_its_closure_with_gradients() -> None:
    proto = parameter(3.0)

    def closure() -> float:
        loss = (proto**2).sum()
        (proto.grad,) = torch.autograd.grad(loss, proto)
        return loss.item()

    assert SignSGD([proto], lr=0.5).step(closure) == 9.0
    assert proto.tolist() == [2.5]


def test_state_dict_contains_the_momentum() -> None:
    next_gradient = torch.tensor([1.0, -0.2])  # the momentum turns the sign of the second entry
    protos = [parameter(0.0, 0.0) for _ in range(3)]
    first, resumed, fresh = (SignSGD([proto], 1.0, momentum=0.9) for proto in protos)
    take(first, torch.tensor([1.0, 1.0]))
    resumed.load_state_dict(first.state_dict())
    protos[1].data.copy_(protos[0])
    for optimizer in (first, resumed, fresh):
        take(optimizer, next_gradient.clone())

    assert protos[0].tolist() == protos[1].tolist() == [-2.0, -2.0]
    assert protos[2].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("lr", "momentum", "at_fault"),
    [
        (0.0, 0.0, "lr"),
        (-1.0, 0.0, "lr"),
        (float("nan"), 0.0, "lr"),
        (inf, 0.0, "lr"),
        (1.0, 1.0, "momentum"),
        (1.0, -0.1, "momentum"),
        (1.0, float("nan"), "momentum"),
    ],
)
def test_step_size_or_momentum_out_of_range_raises_error(lr: float, momentum: float, at_fault: str) -> None:
    with refuses(f"model.optimizer.{at_fault}", "out_of_range"):
        SignSGD([parameter(0.0)], lr, momentum)


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_cosine_schedule_falls_and_stays_at_its_end(final: float) -> None:
    optimizer, schedule = scheduled(8, final=final)
    assert optimizer.param_groups[0]["lr"] == 2.0
    seen = rates(optimizer, schedule, 10)
    assert seen[:8] == pytest.approx([half_cosine(k, 8, final=final) for k in range(1, 9)])
    assert seen[7:] == pytest.approx([2.0 * final] * 3)


def test_resumed_schedule_keeps_its_number_of_steps() -> None:
    optimizer, schedule = scheduled(8)
    rates(optimizer, schedule, 4)
    longer_optimizer, longer = scheduled(16)
    longer_optimizer.load_state_dict(optimizer.state_dict())
    longer.load_state_dict(schedule.state_dict())

    assert "total_steps" not in schedule.state_dict()
    assert longer.total_steps == 16
    assert rates(longer_optimizer, longer, 12) == pytest.approx([half_cosine(k, 16) for k in range(5, 17)])


def test_aggregation_steps_by_the_sign_of_the_sum() -> None:
    proto = parameter(0.0, 0.0, 10.0)
    optimizer = GradientAggregation([proto], lr=2.0, inner_steps=3)
    seen = []
    for gradient in ([1.0, 1.0, -1.0], [1.0, -0.5, -1.0], [-5.0, 0.1, -1.0], [1.0, 1.0, 1.0]):
        take(optimizer, torch.tensor(gradient))
        seen.append(proto.tolist())
    # two steps ahead; from the start by the signs of (-3, 0.6, -3); ahead again
    assert seen == [[-2.0, -2.0, 12.0], [-4.0, 0.0, 14.0], [2.0, -2.0, 12.0], [0.0, -4.0, 10.0]]


def test_aggregation_of_one_gradient_is_a_sign_step() -> None:
    proto, plain = parameter(1.0, 2.0), parameter(1.0, 2.0)
    optimizers = [GradientAggregation([proto], 0.5, inner_steps=1), SignSGD([plain], 0.5, momentum=0)]
    for gradient in (torch.tensor([3.0, -1.0]), torch.tensor([-2.0, 0.0])):
        for optimizer in optimizers:
            take(optimizer, gradient)
    assert torch.equal(proto, plain)


@pytest.mark.parametrize("taken", [1, 3])
def test_aggregation_continues_from_its_state(taken: int) -> None:
    gradients = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 5))).float()
    whole, cut = parameter(*[0.0] * 5), parameter(*[0.0] * 5)
    optimizer = GradientAggregation([whole], 1.0, 3)
    for gradient in gradients:
        take(optimizer, gradient)
    first = GradientAggregation([cut], 1.0, 3)
    for gradient in gradients[:taken]:
        take(first, gradient)
    second = GradientAggregation([cut], 1.0, 3)
    second.load_state_dict(first.state_dict())
    for gradient in gradients[taken:]:
        take(second, gradient)
    assert torch.equal(whole, cut)


@pytest.mark.parametrize(
    ("lr", "inner_steps", "at_fault"),
    [(0.0, 4, "lr"), (float("nan"), 4, "lr"), (inf, 4, "lr"), (1.0, 0, "inner_steps")],
)
def test_aggregation_setting_out_of_range_raises_error(lr: float, inner_steps: int, at_fault: str) -> None:
    with refuses(f"model.optimizer.{at_fault}", "out_of_range"):
        GradientAggregation([parameter(0.0)], lr, inner_steps)
