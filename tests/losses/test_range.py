"""The cross entropy over all that float32 can hold: where exponentials overflow, and where they lose their bits."""

import pytest
import torch
import torch.nn.functional as F

from uap.losses import CrossEntropy, GeneralizedCrossEntropy, JensenShannon, Loss
from uap.objectives import Goal


@pytest.mark.parametrize("level", [-110, -104, -100, -95, -88, -60, 0, 56, 58, 80, 85, 87, 88.5, 90, 110])
@pytest.mark.parametrize("spread", [0.1, 1])  # with little the sum of the exponentials overflows and none of them does
def test_what_all_logits_have_in_common_changes_nothing(level: float, spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (spread * torch.randn(2, 19, 3, 4, generator=generator) + level).requires_grad_()
    target = torch.randint(0, 19, (2, 3, 4), generator=generator)
    loss = CrossEntropy(None)(logits, Goal(target))
    exact = logits.detach().double().requires_grad_()
    expected = F.cross_entropy(exact, target, reduction="none")
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-4)
    gradients = torch.autograd.grad(loss.sum(), logits)[0], torch.autograd.grad(expected.sum(), exact)[0]
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 5, 7, 11, 12, 19, 21])
def test_any_class_may_stand_out(classes: int) -> None:
    logits = 1000 * torch.eye(classes)[None, :, :, None]  # in each row of the image another one
    own = torch.arange(classes)[None, :, None]
    assert CrossEntropy(None)(logits, Goal(own)).tolist() == torch.zeros(1, classes, 1).tolist()
    assert (
        CrossEntropy(None)(logits, Goal((own + 1) % classes)).tolist() == torch.full((1, classes, 1), 1000.0).tolist()
    )


@pytest.mark.parametrize("loss", [CrossEntropy(None), GeneralizedCrossEntropy(), JensenShannon()])
def test_no_loss_is_below_0_however_it_is_rounded(loss: Loss) -> None:
    levels = torch.linspace(-3, 56, 5000)
    logits = torch.stack([levels, torch.full_like(levels, -55)])[None, :, None]
    pixels = loss(logits, Goal(torch.zeros(1, 1, 5000, dtype=torch.int64)))
    assert pixels.min() >= 0
