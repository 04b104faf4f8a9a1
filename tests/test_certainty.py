"""Tests of confidence and entropy against scipy."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy
from torch import nn

from uap.attacks import FGSM
from uap.evaluation import evaluate
from uap.metrics.certainty import confidence, entropy
from uap.objectives import Untargeted


def test_values_are_those_of_scipy() -> None:
    logits = 4 * torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    probabilities = softmax(logits.double().numpy(), axis=1)
    assert confidence(logits).numpy() == pytest.approx(probabilities.max(1).mean((1, 2)), rel=1e-5)
    assert entropy(logits).numpy() == pytest.approx(scipy_entropy(probabilities, axis=1).mean((1, 2)), rel=1e-5)


def test_probabilities_of_zero_have_no_entropy() -> None:
    assert entropy(torch.tensor([[[0.0], [-1e4]]])).tolist() == [0.0]


def test_an_evaluation_has_both_on_clean_and_on_adversarial_images() -> None:
    torch.manual_seed(0)
    victim, images = nn.Conv2d(3, 4, 3, padding=1), 255 * torch.rand(3, 3, 16, 16)
    names = ("confidence_clean", "confidence", "entropy_clean", "entropy")
    result = evaluate(victim, images, FGSM(8), Untargeted(), batch_size=2, extra=names, progress=False)
    found = result.metrics["float"]
    with torch.no_grad():
        clean, adversarial = victim(images), victim(FGSM(8)(victim, images, Untargeted()))
    expected = {
        "confidence_clean": confidence(clean),
        "confidence": confidence(adversarial),
        "entropy_clean": entropy(clean),
        "entropy": entropy(adversarial),
    }
    assert {name: found[name] for name in expected} == pytest.approx(
        {name: float(np.mean(values.numpy())) for name, values in expected.items()}, abs=1e-5
    )
