"""The dispersion of the features of a layer as a loss, and attacks with it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import uap
from tests.helpers import refuses
from uap.attacks import SignSteps
from uap.losses import FeatureDispersion
from uap.objectives import Goal, LeastLikely, Untargeted

GOAL = Goal(torch.zeros(2, 3, 4, dtype=torch.int64), sign=-1)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 2, 1)).requires_grad_(False)


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 16, 32, generator=torch.Generator().manual_seed(0)) * 255


def test_the_mean_loss_of_an_image_is_the_standard_deviation_of_its_features() -> None:
    features = np.random.default_rng(0).normal(1, 3, (2, 5, 3, 4))
    found = FeatureDispersion()(torch.from_numpy(features), GOAL)
    assert found.shape == (2, 3, 4)
    for image in range(2):
        assert found[image].mean().item() == pytest.approx(np.std(features[image]))


def test_its_gradient_is_that_of_the_standard_deviation() -> None:
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (found,) = torch.autograd.grad(FeatureDispersion()(features, GOAL).mean((1, 2)).sum(), features)
    (expected,) = torch.autograd.grad(sum(one.std(correction=0) for one in features), features)
    assert torch.allclose(found, expected)


def test_equal_features_have_no_gradient() -> None:
    features = torch.ones(2, 5, 3, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(FeatureDispersion()(features, GOAL).sum(), features)
    assert not gradient.any()


def test_attacks_lower_the_deviation_of_the_features() -> None:
    model = network()
    encoder, seen = model[:2], images()
    adversarial = SignSteps(epsilon=8, steps=5, loss=FeatureDispersion())(model, seen, Untargeted())
    assert (encoder(adversarial).std((1, 2, 3)) < encoder(seen).std((1, 2, 3))).all()
    delta = uap.learn(model, seen, Untargeted(), tile=(8, 8), passes=10, loss=FeatureDispersion("1"), progress=False)
    assert encoder(delta(seen)).std() < encoder(seen).std()


def test_a_target_is_refused() -> None:
    with refuses("model.loss", "conflict", "FeatureDispersion"):
        SignSteps(loss=FeatureDispersion())(network(), images(), LeastLikely())
