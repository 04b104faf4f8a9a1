"""The tanh of a learned scale and offset, against its formula and an independent loop."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import TanhAffine
from uap.attacks.tanh_affine import SPREAD, _bound
from uap.objectives import Goal, LeastLikely, Objective, Shape, Untargeted
from uap.utils.sampling import image_generator


class Region(Objective):
    """Class 1 in the left half, which is the region; the clean prediction elsewhere."""

    has_region = True

    def prepare(
        self, victim: Any, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        labels = clean_logits.argmax(1)
        region = torch.zeros_like(labels, dtype=torch.bool)
        region[..., : labels.shape[-1] // 2] = True
        return Goal(labels.masked_fill(region, 1), region)


def start(image: Tensor) -> tuple[Tensor, Tensor]:
    noise = SPREAD * (2 * torch.rand(2, *image.shape, generator=image_generator(0, image)) - 1)
    return 1 + noise[0], noise[1]


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("weights", ["hard", "printed", None])
def test_four_steps_equal_an_independent_loop(local: bool, weights: Any) -> None:
    victim, image = Linear(), images(1)
    scale, offset = (part.double().requires_grad_() for part in start(image[0]))
    base = (image[0].double() / 127.5 - 1).clamp(-1 + 1 / 255, 1 - 1 / 255)
    base = 0.5 * ((1 + base) / (1 - base)).log()
    clean = victim(image)[0].argmax(0)
    width = image.shape[-1] // 2
    labels, inside = clean.clone(), torch.zeros_like(clean, dtype=torch.bool)
    labels[:, :width], inside[:, :width] = 1, True
    optimizer = torch.optim.Adam([scale, offset], lr=0.05)
    area, classes, left = labels.numel(), clean[inside].unique(), 0

    def shown() -> Tensor:
        changed = 127.5 * ((scale * base + offset).tanh() + 1)
        return torch.where(inside, changed, image[0].double()) if local else changed

    for _ in range(4):
        logits = torch.einsum("kc,chw->khw", victim.weight.double(), (shown() - 128) / 16)
        p = logits.softmax(0)
        of_label = p.gather(0, labels[None])[0]
        place = ((of_label - p.amin(0)) / (p.amax(0) - p.amin(0))).detach()
        weight = {"hard": 1 - place, "printed": place, None: torch.ones_like(place)}[weights]
        losses = -of_label.log()
        change = ((shown() - image[0].double()) / 127.5).square()
        moving = torch.ones_like(inside)
        if local:
            moving = inside & torch.isin(p.argmax(0), classes) & (p.argmax(0) != labels)
            losses = (losses + p.gather(0, clean[None])[0].log())[moving]
            weight, change = weight[moving], change[:, inside]
            left = int(inside.sum() - moving.sum())
        held = [part.detach().clone() for part in (scale, offset)]
        optimizer.zero_grad()
        (area * ((weight * losses).mean() + 3 * change.mean())).backward()
        optimizer.step()
        for part, before in zip((scale, offset), held, strict=True):
            part.data = torch.where(moving, part.data, before)
    assert (left > 0) == local  # some pixels have left the source region, and were held
    attack = TanhAffine(steps=4, lr=0.05, penalty=3, local=local, weights=weights)
    torch.testing.assert_close(attack(victim, image, Region()), shown()[None].detach().float(), atol=0.02, rtol=0)
    assert (attack.cost.forwards, attack.cost.backwards) == (4, 4)


def test_it_starts_near_the_image_and_the_printed_formula_does_not() -> None:
    """Half a grey level against 8.5, on images with all grey levels (section 0 of the docstring's claim)."""
    image = torch.arange(256.0).repeat(3, 4, 1)[None]
    change = {}
    forms: list[Any] = ["inverse", "printed"]
    for form in forms:
        attack = TanhAffine(steps=1, lr=1e-9, form=form)
        change[form] = float((attack(Linear(), image, Shape("square", 1, 0)) - image).abs().mean())
    assert change["inverse"] < 0.7
    assert 8 < change["printed"] < 15


def test_a_local_attack_changes_its_region_alone() -> None:
    clean = images(2)
    change = (TanhAffine(steps=3, local=True)(Linear(), clean, Region()) - clean).abs().amax(1)
    assert (change[..., :2] > 0).all()
    assert (change[..., 2:] == 0).all()


def test_it_reaches_its_target_and_stays_within_the_range() -> None:
    clean = torch.cat([images(2), torch.zeros(1, 3, 4, 5), torch.full((1, 3, 4, 5), 255.0)])
    adversarial = TanhAffine(steps=200, lr=0.1, penalty=0)(Linear(), clean, Shape("square", 1, 1))
    assert (Linear()(adversarial).argmax(1) == 1).float().mean() > 0.95
    assert float(adversarial.min()) >= 0
    assert float(adversarial.max()) <= 255


@pytest.mark.parametrize("local", [False, True])
def test_a_bounded_attack_stays_within_epsilon_and_uses_it(local: bool) -> None:
    clean = torch.cat([images(2), torch.zeros(1, 3, 4, 5), torch.full((1, 3, 4, 5), 255.0)])
    attack = TanhAffine(steps=50, lr=0.1, penalty=0, epsilon=3, local=local)
    change = attack(Linear(), clean, Region()) - clean
    assert 2.9 < float(change.abs().max()) <= 3 + 1e-4
    assert attack.epsilon == 3


def test_a_value_at_the_bound_comes_back_at_once() -> None:
    """The offset does not run beyond the bound, so that one step back changes the value."""
    attack = TanhAffine(epsilon=2)
    image = torch.full((1, 3, 1, 1), 100.0)
    base = torch.atanh(image / 127.5 - 1)
    affine = torch.tensor([1.0, 5.0]).view(1, 2, 1, 1, 1).repeat(1, 1, 3, 1, 1)
    _bound(affine, base, attack._limits(image))
    shown = 127.5 * (torch.tanh(affine[:, 0] * base + affine[:, 1]) + 1)
    torch.testing.assert_close(shown, image + 2)


def test_no_image_depends_on_its_batch_and_any_locations_work() -> None:
    clean = images(3)
    together = TanhAffine(steps=3)(Linear(), clean, Shape("square", 1, 1))
    alone = torch.cat([TanhAffine(steps=3)(Linear(), image[None], Shape("square", 1, 1)) for image in clean])
    torch.testing.assert_close(together, alone)
    assert np.isfinite(together.numpy()).all()


def test_wrong_values_and_objectives_are_refused() -> None:
    settings: list[dict[str, Any]] = [{"steps": 0}, {"lr": 0}, {"penalty": -1}, {"epsilon": 0.5}, {"epsilon": 256}]
    for setting in settings:
        with refuses(next(iter(setting)), "out_of_range"):
            TanhAffine(**setting)
    with refuses(None, "unknown_name"):
        TanhAffine(form="linear")  # type: ignore[arg-type]
    with refuses("objective", "not_supported"):
        TanhAffine()(Linear(), images(1), Untargeted())
    with refuses("objective", "not_supported"):
        TanhAffine(local=True)(Linear(), images(1), LeastLikely())
