"""Houdini against the normal distribution of torch, and the four mistakes that public implementations make."""

from typing import Any

import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor
from torch.distributions import Normal

from uap.attacks import SignSteps
from uap.losses import Houdini
from uap.objectives import Goal, StaticTarget, Untargeted
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError


def case(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (2, 4, 3, 5), and labels with ignored ones."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 3, 5), generator=generator)
    labels[:, 0, :2] = IGNORE
    return logits, labels


def gradient_of(loss: Houdini, logits: Tensor, goal: Goal, weights: Tensor | None = None) -> Tensor:
    leaf = logits.clone().requires_grad_()
    losses = loss(leaf, goal)
    (gradient,) = torch.autograd.grad((losses if weights is None else losses * weights).sum(), leaf)
    return gradient


@pytest.mark.parametrize("task", ["iou", "pixel"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_value_and_gradient_are_those_of_the_formula(task: str, sign: int, temperature: float) -> None:
    logits, labels = case()
    loss = Houdini(temperature, task=task)  # type: ignore[arg-type]
    goal = Goal(labels, sign=1 if sign > 0 else -1)
    expected, losses = torch.zeros_like(logits), loss(logits, goal)
    for image in range(2):
        valid = labels[image] != IGNORE
        predicted = logits[image].argmax(0)
        share = float((predicted != labels[image])[valid].double().mean())
        iou = jaccard_score(labels[image][valid], predicted[valid], average="macro")
        task_loss = share if task == "pixel" else 1 - iou
        for row, column in valid.nonzero().tolist():
            label, best = int(labels[image, row, column]), int(predicted[row, column])
            margin = (logits[image, label, row, column] - logits[image, best, row, column]) / temperature
            value = (1 - Normal(0, 1).cdf(margin)) * task_loss  # type: ignore[no-untyped-call]
            torch.testing.assert_close(losses[image, row, column], sign * value)
            density = Normal(0, 1).log_prob(margin).exp()  # type: ignore[no-untyped-call]
            slope = sign * task_loss * density / temperature
            expected[image, best, row, column] += slope
            expected[image, label, row, column] -= slope
    torch.testing.assert_close(gradient_of(loss, logits, goal), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_agree_with_finite_differences(sign: int) -> None:
    logits, labels = case()
    goal = Goal(labels, sign=1 if sign > 0 else -1)
    assert torch.autograd.gradcheck(lambda x: Houdini(2.0)(x, goal), logits.requires_grad_())


def test_locations_that_are_predicted_as_their_label_have_no_gradient() -> None:
    """The first mistake: to write the second of two gradients at the label over the first one, instead of adding it."""
    logits, labels = case()
    right = logits.argmax(1) == labels
    gradient = gradient_of(Houdini(), logits, Goal(labels)).abs().sum(1)
    assert right.any()
    assert not gradient[right].any()
    assert (gradient[~right & (labels != IGNORE)] > 0).all()


def test_the_task_loss_is_an_error_and_not_an_agreement() -> None:
    """The second mistake: the mean IoU in per cent as the task loss, which vanishes where there is most to gain."""
    labels = torch.tensor([[0, 0, 1, 1]])
    for loss in (Houdini(), Houdini(task="pixel")):
        by_errors = [
            loss.task_loss(torch.tensor([row]), labels).item() for row in ([0, 0, 1, 1], [0, 0, 0, 1], [1] * 4)
        ]
        assert by_errors == sorted(by_errors)
        assert by_errors[0] == 0
        assert loss.task_loss(torch.tensor([[1, 1, 0, 0]]), labels).item() == 1


def test_the_gradient_of_what_follows_counts() -> None:
    """The third mistake: a backward pass that ignores the gradient that it is given."""
    logits, labels = case()
    weights = torch.arange(30.0, dtype=torch.float64).view(2, 3, 5)
    plain = gradient_of(Houdini(), logits, Goal(labels))
    torch.testing.assert_close(gradient_of(Houdini(), logits, Goal(labels), weights), plain * weights[:, None])


def test_with_a_temperature_confident_locations_keep_a_gradient() -> None:
    """The fourth mistake: no temperature, so that locations with a large margin never move."""
    logits = torch.tensor([[[0.0], [20.0]]])
    goal = Goal(torch.tensor([[0]]))
    assert gradient_of(Houdini(temperature=1), logits, goal).abs().max() < 1e-37
    assert gradient_of(Houdini(temperature=10), logits, goal).abs().max() > 1e-3
    assert gradient_of(Houdini(), logits, goal).abs().max() > 1e-3  # the standard deviation, here 10


def test_an_image_does_not_depend_on_its_batch_and_any_locations_work() -> None:
    logits, labels = case()
    together = Houdini()(logits, Goal(labels))
    alone = torch.cat([Houdini()(logits[i : i + 1], Goal(labels[i : i + 1])) for i in range(2)])
    torch.testing.assert_close(together, alone)
    flat = Houdini()(logits.flatten(2), Goal(labels.flatten(1)))
    torch.testing.assert_close(flat, together.flatten(1))
    assert not together[labels == IGNORE].any()


def test_from_the_clean_prediction_only_a_random_start_moves() -> None:
    torch.manual_seed(0)
    network, images = torch.nn.Conv2d(3, 3, 1), torch.full((1, 3, 4, 4), 100.0)
    still = SignSteps(8, steps=3, loss=Houdini())(network, images, Untargeted())
    assert torch.equal(still, images)
    target = StaticTarget.of_labels((network(images)[0].argmin(0)).byte())
    assert not torch.equal(SignSteps(8, steps=3, loss=Houdini())(network, images, target), images)


def test_wrong_values_are_refused() -> None:
    wrong: list[dict[str, Any]] = [{"temperature": 0.0}, {"task": "accuracy"}]
    for settings in wrong:
        with pytest.raises(InputError):
            Houdini(**settings)
