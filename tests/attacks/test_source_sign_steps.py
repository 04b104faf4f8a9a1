"""Sign steps in the source region, against an independent loop."""

import torch

from tests.attacks.linear import Linear, images
from tests.attacks.test_tanh_affine import Region
from tests.helpers import refuses
from uap.attacks import SourceSignSteps
from uap.attacks.source_region import mean_over
from uap.objectives import LeastLikely, Untargeted


def test_steps_equal_an_independent_loop_that_leaves_pixels_alone_once_they_lost_their_class() -> None:
    victim, image = Linear(), images(1)
    changed, clean = image[0].clone(), victim(image)[0].argmax(0)
    half = image.shape[-1] // 2
    labels = clean.clone()
    labels[:, :half] = 1
    sources = set(clean[:, :half].flatten().tolist())
    left = 0
    for _ in range(6):
        inputs = changed.clone().requires_grad_()
        log_p = torch.einsum("kc,chw->khw", victim.weight, (inputs - 128) / 16).log_softmax(0)
        moving = [
            (y, x) for y in range(inputs.shape[1]) for x in range(half) if int(log_p[:, y, x].argmax()) in sources - {1}
        ]
        left += half * inputs.shape[1] - len(moving)
        loss = torch.stack([log_p[clean[y, x], y, x] - log_p[1, y, x] for y, x in moving]).mean()
        (gradient,) = torch.autograd.grad(loss, inputs)
        for y, x in moving:
            step = changed[:, y, x] - 4 * gradient[:, y, x].sign()
            changed[:, y, x] = step.clamp(image[0, :, y, x] - 20, image[0, :, y, x] + 20).clamp(0, 255)
    attack = SourceSignSteps(epsilon=20, alpha=4, steps=6)
    torch.testing.assert_close(attack(victim, image, Region())[0], changed)
    assert left > 0
    assert (attack.cost.forwards, attack.cost.backwards) == (6, 6)


def test_no_image_depends_on_its_batch() -> None:
    clean = images(3)
    together = SourceSignSteps()(Linear(), clean, Region())
    alone = torch.cat([SourceSignSteps()(Linear(), image[None], Region()) for image in clean])
    torch.testing.assert_close(together, alone)


def test_an_empty_region_has_the_mean_0() -> None:
    assert mean_over(torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.bool)).tolist() == [0]


def test_objectives_without_a_target_or_a_region_are_refused() -> None:
    for objective in (Untargeted(), LeastLikely()):
        with refuses("objective", "not_supported"):
            SourceSignSteps()(Linear(), images(1), objective)
