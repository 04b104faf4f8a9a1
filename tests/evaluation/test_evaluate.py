"""Tests of the evaluation against independent counts, sklearn and the definitions of the metrics."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tests.attacks.linear import Linear, images
from uap.attacks import DAG, FGSM, IterativeFGSM, SignSteps
from uap.attacks.base import Attack
from uap.evaluation import evaluate
from uap.metrics.names import METRICS
from uap.metrics.perceptibility import perceptibility, psnr, ssim
from uap.objectives import HideClasses, LeastLikely, RandomClasses, Untargeted
from uap.utils.class_tables import LabelTable
from uap.utils.errors import InputError
from uap.utils.quantize import quantize


class Add(nn.Module):
    """A perturbation that adds a constant."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return images + self.value


def labeled(count: int = 3) -> tuple[Linear, Tensor, Tensor]:
    """Return a victim, images, and labels that differ from its predictions in the top rows."""
    victim, pictures = Linear(), images(count, (16, 20))
    labels = victim(pictures).argmax(1)
    labels[:, :4] = 0
    labels[:, 0] = 255
    return victim, pictures, labels


def test_metrics_equal_their_definitions() -> None:
    victim, pictures, labels = labeled()
    data, attack = TensorDataset(pictures, labels), FGSM(6.5)
    result = evaluate(victim, data, attack, LeastLikely(), batch_size=2, progress=False)
    clean, least = victim(pictures).argmax(1), victim(pictures).argmin(1)
    adversarial = torch.cat([attack(victim, image[None], LeastLikely()) for image in pictures])
    for form, shown in {"float": adversarial, "8-bit": quantize(pictures, adversarial, 6.5).float()}.items():
        predicted, found, known = victim(shown).argmax(1), result.metrics[form], labels != 255
        change = (shown - pictures).double()

        def iou(reference: Tensor, other: Tensor, where: Tensor) -> float:
            present = torch.unique(reference[where]).tolist()
            return float(jaccard_score(reference[where], other[where], labels=present, average="macro"))

        everywhere = torch.ones_like(known)
        expected = {
            "success_rate": (predicted == least).double().mean().item(),
            "success_before": 0.0,
            "kept": (predicted == clean).double().mean().item(),
            "miou_clean_prediction": iou(clean, predicted, everywhere),
            "miou_clean": iou(labels, clean, known),
            "miou_adversarial": iou(labels, predicted, known),
            "iou_ratio": iou(labels, predicted, known) / iou(labels, clean, known),
            "perceptibility": np.mean([(c / 255).square().sum(0).mean().sqrt().item() for c in change]),
            "max_norm": change.abs().max().item(),
            "rms": np.mean([c.square().mean().sqrt().item() for c in change]),
            "psnr": np.mean([10 * np.log10(255**2 / c.square().mean().item()) for c in change]),
        }
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5)
        assert 0 < found["ssim"] < 1
        assert set(found) <= set(METRICS)


def test_rounded_change_is_within_epsilon() -> None:
    victim, pictures, _ = labeled()
    result = evaluate(victim, pictures, FGSM(2.5), Untargeted(), progress=False)
    assert result.metrics["float"]["max_norm"] == 2.5
    assert result.metrics["8-bit"]["max_norm"] == 2


def test_epsilon_below_1_does_not_change_8_bit_images() -> None:
    victim, pictures, _ = labeled()
    result = evaluate(victim, pictures, IterativeFGSM(0.5), Untargeted(), progress=False)
    assert result.metrics["8-bit"]["kept"] == 1
    assert result.metrics["float"]["max_norm"] == 0.5
    with pytest.raises(InputError, match=r"8/255 is 8"):
        evaluate(victim, pictures, IterativeFGSM(0.5), Untargeted(), scored=("8-bit",), progress=False)


def test_metrics_do_not_depend_on_the_batches() -> None:
    victim, pictures, labels = labeled(5)
    data = TensorDataset(pictures, labels)
    found = [evaluate(victim, data, DAG(steps=20), RandomClasses(), batch_size=n, progress=False) for n in (1, 2, 5)]
    for other in found[1:]:
        assert other.metrics["float"] == pytest.approx(found[0].metrics["float"], rel=1e-5)
    assert found[0].images == 5
    assert found[0].backwards > 0


def test_evaluate_clean_images_and_a_perturbation() -> None:
    victim, pictures, labels = labeled()
    clean = evaluate(victim, TensorDataset(pictures, labels), None, Untargeted(), progress=False).metrics["float"]
    assert (clean["kept"], clean["iou_ratio"], clean["max_norm"]) == (1, 1, 0)
    assert "psnr" not in clean  # infinite
    moved = evaluate(victim, pictures, Add(3.0), Untargeted(), progress=False).metrics["8-bit"]
    assert moved["max_norm"] == 3
    assert "miou_clean" not in moved  # without labels


def test_labels_do_not_change_the_attack() -> None:
    victim, pictures, labels = labeled()
    one, other = TensorDataset(pictures, labels), TensorDataset(pictures, (labels + 1) % 4)
    found = [evaluate(victim, data, FGSM(4), Untargeted(), progress=False).metrics["float"] for data in (one, other)]
    assert found[0]["kept"] == found[1]["kept"]
    assert found[0]["miou_clean"] != found[1]["miou_clean"]


def test_result_prints_a_table() -> None:
    victim, pictures, _ = labeled()
    text = str(evaluate(victim, pictures, FGSM(4), Untargeted(), progress=False))
    assert all(word in text for word in ("float", "8-bit", "kept", "max-norm", "images"))


def test_perceptibility_of_one_grey_level_in_one_channel() -> None:
    clean = torch.zeros(1, 3, 12, 12)
    changed = clean.clone()
    changed[:, 0] = 1
    assert perceptibility(clean, changed).item() == pytest.approx(1 / 255)
    assert psnr(clean, changed).item() == pytest.approx(10 * np.log10(255**2 * 3))
    assert ssim(clean, clean).item() == pytest.approx(1)
    assert ssim(clean[..., :5], clean[..., :5]).isnan()


@pytest.mark.parametrize("setting", [{"scored": ()}, {"scored": ("16-bit",)}])
def test_unknown_forms_raise_error(setting: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        evaluate(Linear(), images(), None, Untargeted(), progress=False, **setting)


class Named(Linear):
    """A network with class names, as a `Victim` has them."""

    table = LabelTable(("road", "sky", "person", "car"), ((0, 0, 0),) * 4)


def test_hidden_preserved_and_remaining_equal_their_definitions() -> None:
    victim, pictures = Named(), images(3, (16, 20))
    objective = HideClasses(["person"])
    found = evaluate(victim, pictures, FGSM(16), objective, batch_size=2, progress=False).metrics["8-bit"]
    clean = victim(pictures).argmax(1)
    adversarial = torch.cat([FGSM(16)(victim, image[None], objective) for image in pictures])
    predicted = victim(quantize(pictures, adversarial, 16).float()).argmax(1)
    hidden = clean == 2
    assert 0 < hidden.float().mean() < 1
    expected = {
        "hidden": (predicted[hidden] != 2).double().mean().item(),
        "preserved": (predicted[~hidden] == clean[~hidden]).double().mean().item(),
        "remaining": (predicted == 2).sum().item() / hidden.sum().item(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert "success_rate" not in found


def test_the_share_of_images_that_converged_is_a_metric() -> None:
    victim, pictures, _ = labeled(4)
    found = evaluate(victim, pictures, DAG(steps=400), RandomClasses(), batch_size=3, progress=False).metrics
    stopped = evaluate(victim, pictures, DAG(steps=1), RandomClasses(), batch_size=3, progress=False).metrics
    assert (found["float"]["converged"], stopped["float"]["converged"]) == (1, 0)
    assert "converged" not in evaluate(victim, pictures, FGSM(2), Untargeted(), progress=False).metrics["float"]


def test_numbers_of_an_image_do_not_depend_on_its_batch_if_objective_and_attack_sample() -> None:
    victim, pictures, _ = labeled(4)
    attack = SignSteps(epsilon=4, steps=2, random_start=True)
    found = [evaluate(victim, pictures, attack, RandomClasses(), batch_size=n, progress=False) for n in (1, 2, 4)]
    assert found[1].metrics["float"] == pytest.approx(found[0].metrics["float"], rel=1e-5)
    assert found[2].metrics["float"] == pytest.approx(found[0].metrics["float"], rel=1e-5)


def test_clean_images_between_grey_levels_keep_to_epsilon_in_8_bit() -> None:
    victim, pictures, _ = labeled()
    between = (pictures + 0.6).clamp(max=254)
    result = evaluate(victim, between, FGSM(2), Untargeted(), progress=False)
    assert result.metrics["8-bit"]["max_norm"] <= 2
    assert result.metrics["float"]["max_norm"] == pytest.approx(2, abs=1e-4)


def test_a_metric_that_nobody_counts_is_refused() -> None:
    victim, pictures, _ = labeled()
    with pytest.raises(InputError, match="accuracy"):
        evaluate(victim, pictures, None, Untargeted(), extra=("accuracy",), progress=False)


class NotFinite(Linear):
    """A network whose logits are finite and whose gradient is not."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits + 0 * (logits - logits.detach()).sqrt()


@pytest.mark.parametrize("attack", [FGSM(4), DAG(steps=3)])
def test_a_gradient_that_is_not_finite_is_no_success(attack: Attack) -> None:
    with pytest.raises(InputError, match="gradient is not finite"):
        evaluate(NotFinite(), images(2, (16, 20)), attack, LeastLikely(), progress=False)


def test_a_perturbation_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        evaluate(Linear(), images(2, (16, 20)), Add(float("nan")), Untargeted(), progress=False)


def test_a_dark_8_bit_image_is_scored_and_a_float_image_on_the_wrong_scale_is_not() -> None:
    dark = torch.ones(1, 3, 16, 20, dtype=torch.uint8)
    assert evaluate(Linear(), dark, None, Untargeted(), progress=False).images == 1
    with pytest.raises(InputError, match="255"):
        evaluate(Linear(), dark.float(), None, Untargeted(), progress=False)
