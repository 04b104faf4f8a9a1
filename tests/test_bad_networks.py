"""Tests of networks and labels with which results would be wrong, in every function of the Python interface."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import FGSM, SignSteps
from uap.evaluation import evaluate
from uap.objectives import LeastLikely, Untargeted
from uap.universal.learn import learn
from uap.utils.errors import Kind

Network = Callable[[Tensor], object]

USES: dict[str, Callable[[Network], object]] = {
    "learn": lambda network: learn(network, images(2), Untargeted(), progress=False),  # type: ignore[arg-type]
    "learn towards other labels": lambda network: learn(network, images(2), LeastLikely(), progress=False),  # type: ignore[arg-type]
    "an attack": lambda network: FGSM(8)(network, images(2), Untargeted()),  # type: ignore[arg-type]
    "evaluate": lambda network: evaluate(network, images(2), FGSM(8), Untargeted(), progress=False),  # type: ignore[arg-type]
}

OUTPUTS: dict[str, tuple[Callable[[Tensor], object], Kind]] = {
    "a dictionary": (lambda logits: {"out": logits}, "wrong_type"),
    "a tuple": (lambda logits: (logits,), "wrong_type"),
    "class ids": (lambda logits: logits.argmax(1), "wrong_type"),
    "probabilities": (lambda logits: logits.softmax(1), "not_supported"),
    "one channel": (lambda logits: logits[:, :1], "wrong_shape"),
    "no batch": (lambda logits: logits[0], "wrong_shape"),
    "no locations": (lambda logits: logits.mean((2, 3)), "wrong_shape"),
    "infinite numbers": (lambda logits: logits / 0, "not_finite"),
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("use", USES)
def test_outputs_that_are_no_logits_are_refused(use: str, name: str) -> None:
    turned, kind = OUTPUTS[name]
    with refuses("victim", kind):
        USES[use](lambda x: turned(Linear()(x)))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (torch.zeros(2, 2, 2, dtype=torch.int64), "wrong_shape"),
        (torch.full((2, 4, 5), 19), "out_of_range"),
        (torch.full((2, 4, 5), -1), "out_of_range"),
    ],
)
def test_labels_that_do_not_fit_the_network_are_refused(labels: Tensor, kind: Kind) -> None:
    data = [{"image": image, "labels": of} for image, of in zip(images(2), labels, strict=True)]
    with refuses("images", kind):
        evaluate(Linear(), data, FGSM(8), Untargeted(), progress=False)  # type: ignore[arg-type]


def test_ignored_labels_are_no_class() -> None:
    data = [{"image": images(1)[0], "labels": torch.full((4, 5), 255)}]
    result = evaluate(Linear(), data, FGSM(8), Untargeted(), progress=False)  # type: ignore[arg-type]
    assert "miou_clean" not in result.metrics["float"]
    assert not result.warnings


class Saturated(nn.Module):
    """A network that rounds its input, so that its gradient is 0; the second image of a pair is not rounded."""

    def forward(self, images: Tensor) -> Tensor:
        kept = torch.arange(len(images)).view(-1, 1, 1, 1) % 2
        victim: Tensor = Linear()(images.detach() + kept * (images - images.detach()))
        return victim


def test_images_without_a_gradient_are_counted_and_reported() -> None:
    for attack in (FGSM(8), SignSteps(epsilon=8, steps=3)):
        attack(Saturated(), images(4), Untargeted())
        assert attack.cost.without_gradient == 2
        result = evaluate(Saturated(), images(4), attack, Untargeted(), progress=False)
        assert "2 of 4" in result.warnings[0]
        assert result.warnings[0] in str(result)
        assert not evaluate(Linear(), images(4), attack, Untargeted(), progress=False).warnings


def test_a_perturbation_that_stays_0_is_reported() -> None:
    with pytest.warns(UserWarning, match="is 0"):
        learn(Saturated(), images(2), Untargeted(), batch_size=1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(Linear(), images(2), Untargeted(), epsilon=2, progress=False)


def test_a_network_that_misses_its_labels_is_reported() -> None:
    wrong = [{"image": image, "labels": (Linear()(image[None]).argmax(1)[0] + 1) % 4} for image in images(4)]
    right = [{"image": image, "labels": Linear()(image[None]).argmax(1)[0]} for image in images(4)]
    assert not evaluate(Linear(), right, FGSM(8), Untargeted(), progress=False).warnings  # type: ignore[arg-type]
    assert "mean IoU" in evaluate(Linear(), wrong, FGSM(8), Untargeted(), progress=False).warnings[0]  # type: ignore[arg-type]
