"""Evaluation of an attack or a perturbation: all metrics of the objective, on float and on 8-bit images."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from uap.attacks.base import Attack
from uap.metrics.names import METRICS, table, text_row
from uap.metrics.scores import Outcome, Scores
from uap.objectives.base import Goal, Model, Objective, PredictionObjective
from uap.objectives.sampling import goal_of
from uap.utils.batches import Batches, ImageBatch, Images, device_of
from uap.utils.class_tables import IGNORE
from uap.utils.clean_logits import clean_logits
from uap.utils.errors import InputError
from uap.utils.eval_mode import in_eval_mode
from uap.utils.quantize import quantize
from uap.victims.setup_warnings import setup_warnings

Scored = Literal["float", "8-bit"]
"""`float` scores adversarial images as the attack returns them; `8-bit` scores them rounded and clipped."""


@dataclass
class Result:
    """The metrics of an evaluation.

    Attributes:
        metrics: for `float` and `8-bit`, the values by key of `uap.metrics.names.METRICS`.
        images: number of images.
        forwards: number of forward passes of the attack, counted per image, without the clean pass; 0 for a
            perturbation.
        backwards: number of gradients of the attack, counted per image.
        warnings: reasons to doubt the metrics, one sentence each; `print(result)` shows them below the table.

    Example:
        >>> print(Result({"float": {"kept": 0.25}}, images=4))
                                           float
        kept                              25.0 %
        images                                 4
    """

    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    images: int = 0
    forwards: int = 0
    backwards: int = 0
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the table."""
        warnings = "".join(f"\nwarning: {warning}" for warning in self.warnings)
        return f"{table(self.metrics)}\n{text_row('images', [str(self.images)])}{warnings}"


def evaluate(
    victim: Model,
    images: Images,
    attack: Attack | nn.Module | None,
    objective: Objective,
    *,
    scored: tuple[Scored, ...] = ("float", "8-bit"),
    batch_size: int = 4,
    seed: int = 0,
    extra: tuple[str, ...] = (),
    title: str = "Evaluating",
    progress: bool = True,
) -> Result:
    """Evaluate an attack or a perturbation on a network and images.

    The attack uses images and predictions of the network; labels are only used for the IoU. Counts are summed over all
    images before they are divided.

    Args:
        victim: a `Victim` or another module that maps images `(N, 3, H, W)`, 0 to 255, to logits `(N, C, H, W)`.
        images: a tensor, a data set or a loader; labels are class ids of the victim, 255 = ignored. If a batch has the
            clean `prediction` of the victim, and the objective needs no logits, the clean pass is skipped.
        attack: an image-dependent attack, a perturbation (a module from images to images), or None for clean images.
        objective: the goal of the attack; it defines the metrics.
        scored: the forms of the adversarial images to score.
        batch_size: images in a batch; ignored for a loader.
        seed: seed of random attacks and objectives.
        extra: names of further metrics of `uap.metrics.names.METRICS`.
        title: title of the progress bar.
        progress: whether to show a progress bar.

    Returns:
        The metrics; `print(result)` shows a table.

    Raises:
        InputError: there are no images, a form is unknown, or epsilon is below 1 and only 8-bit images are scored.

    Example:
        >>> import torch
        >>> from uap.attacks import FGSM
        >>> from uap.objectives import Untargeted
        >>> _ = torch.manual_seed(0)
        >>> victim = torch.nn.Conv2d(3, 2, 1)
        >>> result = evaluate(victim, torch.full((2, 3, 16, 16), 9.0), FGSM(2), Untargeted(), progress=False)
        >>> result.metrics["8-bit"]["max_norm"]
        2.0
    """
    _check(attack, scored)
    batches = Batches(images, batch_size, device=device_of(victim))
    scores: dict[str, Scores] = {}
    result, converged, without_gradient = Result(), 0, 0
    for batch in tqdm(batches, desc=title, unit="batch", disable=not progress):
        clean, goal, clean_logits = _clean(victim, batch, objective, seed)
        if isinstance(attack, Attack):
            generator = torch.Generator().manual_seed(seed)  # the same in each batch: samples differ by the image
            adversarial = attack.run(victim, batch.images, goal, objective, clean, generator)
            result.forwards += attack.cost.forwards
            result.backwards += attack.cost.backwards
            converged += 0 if attack.cost.converged is None else int(attack.cost.converged.sum())
            without_gradient += attack.cost.without_gradient
        else:
            adversarial = _perturbed(attack, batch.images)
        index = torch.arange(result.images, result.images + len(batch.images), device=batch.images.device)
        result.images += len(batch.images)
        if not adversarial.isfinite().all():
            raise InputError(
                "Adversarial images are not finite. Check the attack or the perturbation.", kind="not_finite"
            )
        for form in scored:
            shown = in_form(form, batch.images, adversarial, _epsilon(attack))
            with torch.no_grad(), in_eval_mode(victim):
                logits = victim(shown)
            if not logits.isfinite().all():
                raise InputError(
                    "The network's logits are not finite. Check its weights and its normalization.", kind="not_finite"
                )
            if batch.labels is not None and form == scored[0]:
                _check_labels(batch.labels, logits)
            predicted = logits.argmax(1)
            outcome = Outcome(batch.images, shown, clean, predicted, goal, batch.labels, index, logits, clean_logits)
            if form not in scores:
                scores[form] = Scores(objective, logits.shape[1], batch.images.device, extra=extra)
            scores[form].update(outcome)
    found = {form: scores[form].compute() for form in scored}
    if isinstance(attack, Attack) and attack.cost.converged is not None:
        found = {form: metrics | {"converged": converged / result.images} for form, metrics in found.items()}
    result.metrics = {form: {name: of[name] for name in METRICS if name in of} for form, of in found.items()}
    result.warnings = _warnings(result, without_gradient)
    return result


def in_form(form: Scored, images: Tensor, adversarial: Tensor, epsilon: float | None) -> Tensor:
    """Return adversarial images `(N, 3, H, W)` float32 in the form in which they are scored.

    Args:
        form: how they are scored.
        images: the clean images.
        adversarial: as an attack returns them.
        epsilon: the bound that rounding keeps to; None for no bound.

    Example:
        >>> in_form("8-bit", torch.full((1, 3, 1, 1), 9.0), torch.full((1, 3, 1, 1), 10.6), 2).unique().tolist()
        [11.0]
    """
    return adversarial if form == "float" else quantize(images, adversarial, epsilon).float()


def _warnings(result: Result, without_gradient: int) -> list[str]:
    """Return reasons to doubt the metrics: a wrong setup of the network, or images that the attack cannot move."""
    found = setup_warnings(None, 0, next(iter(result.metrics.values())).get("miou_clean"))
    if without_gradient:
        found.append(
            f"The gradient is 0 everywhere on {without_gradient} of {result.images} images, which the attack therefore "
            "did not change. The network may be saturated or round its input, which is no robustness. Try another "
            "loss, or attack the network without the cause."
        )
    return found


@torch.no_grad()
def _clean(victim: Model, batch: ImageBatch, objective: Objective, seed: int) -> tuple[Tensor, Goal, Tensor | None]:
    """Return the clean predictions `(N, *L)`, the goal, and the clean logits `(N, C, *L)`.

    If the predictions are known and the goal depends on them alone, the network is not run and the logits are None.
    """
    if batch.prediction is not None and isinstance(objective, PredictionObjective):
        goal = goal_of(objective, victim, batch.images, seed, prediction=batch.prediction)
        return batch.prediction, goal, None
    logits = clean_logits(victim, batch.images)
    return logits.argmax(1), goal_of(objective, victim, batch.images, seed, logits=logits), logits


@torch.no_grad()
def _perturbed(perturbation: nn.Module | None, images: Tensor) -> Tensor:
    return images if perturbation is None else perturbation(images).detach().float()


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    """Check that labels fit logits `(N, C, *L)`.

    Raises:
        InputError: their shape is not `(N, *L)`, or an id is neither a class nor 255.
    """
    shape, classes = (len(logits), *logits.shape[2:]), logits.shape[1]
    if tuple(labels.shape) != shape:
        raise InputError(
            f"Labels have the shape {tuple(labels.shape)}, expected {shape}, as the predictions.",
            setting="images",
            kind="wrong_shape",
        )
    wrong = labels[(labels != IGNORE) & ((labels < 0) | (labels >= classes))]
    if len(wrong):
        raise InputError(
            f"Labels contain the id {int(wrong[0])}, expected 0 to {classes - 1}, the classes of the network, or "
            f"{IGNORE} for pixels to ignore. A data set of uap.datasets translates them: with_classes(victim.table).",
            setting="images",
            kind="out_of_range",
        )


def _epsilon(attack: object) -> float | None:
    epsilon = getattr(attack, "epsilon", None)
    return None if epsilon is None else float(epsilon)


def _check(attack: object, scored: tuple[str, ...]) -> None:
    if attack is not None and (isinstance(attack, type) or not callable(attack)):
        name = attack.__name__ if isinstance(attack, type) else type(attack).__name__
        raise InputError(
            f"The attack is {name}, expected an attack such as uap.attacks.FGSM(8) with its brackets, a perturbation, "
            "or None for clean images.",
            setting="attack",
            kind="wrong_type",
        )
    unknown = [form for form in scored if form not in get_args(Scored)]
    if unknown or not scored:
        raise InputError(
            f"scored is {scored}, expected some of {', '.join(get_args(Scored))}.",
            setting="scored",
            kind="unknown_name",
        )
    epsilon = _epsilon(attack)
    if epsilon is not None and epsilon < 1 and "float" not in scored:
        raise InputError(
            f"epsilon is {epsilon:g} grey levels, and 8-bit images cannot change by less than 1. Score 'float' too, or "
            "set an epsilon of 1 or more (8/255 is 8).",
            setting="scored",
            kind="conflict",
        )
