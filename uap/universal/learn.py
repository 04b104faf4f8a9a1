"""Learning of a universal perturbation in memory, without a trainer, files or a configuration."""

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor
from tqdm.auto import tqdm

from uap.losses import GeneralizedCrossEntropy, Loss, Reduction, default_reduction
from uap.objectives.base import Model, Objective
from uap.universal.member import Member
from uap.universal.optim import CosineToEnd, SignSGD
from uap.universal.perturbation import Perturbation
from uap.universal.random_views import RandomViews
from uap.universal.random_views import random_shift as shift_of
from uap.universal.reach import warn_of_small_steps
from uap.utils.batches import Batches, Images, device_of
from uap.utils.errors import InputError
from uap.utils.eval_mode import in_eval_mode


def learn(
    victim: Model,
    images: Images,
    objective: Objective,
    epsilon: float = 10.0,
    *,
    ensemble: Sequence[Model] = (),
    tile: tuple[int, int] | None = None,
    passes: int = 4,
    batch_size: int = 4,
    lr: float = 2.0,
    momentum: float = 0.9,
    smoothing: float = 0.0,
    loss: Loss | None = None,
    reduction: Reduction | None = None,
    random_shift: bool = False,
    random_scale: tuple[float, float] | None = None,
    random_crop: tuple[int, int] | None = None,
    combine: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Perturbation:
    """Learn one perturbation for all images (Metzen et al., ICCV 2017, arXiv 1704.05712).

    The steps are those of `python -m uap.fit`: sign steps with momentum on the mean loss of a batch, with a cosine
    schedule of the step size, and clipping to epsilon after every step. Use the command for runs that are logged, can
    be resumed, or use several devices.

    Args:
        victim: a `Victim` or another module that maps images `(N, 3, H, W)`, 0 to 255, to logits `(N, C, *L)`. A
            module in train mode is attacked in eval mode, and is in train mode again afterwards.
        images: a tensor `(N, 3, H, W)`, a data set or a loader; all images have the same size.
        objective: the goal of the attack.
        epsilon: largest change of a pixel value, in grey levels.
        ensemble: further networks under attack, each with its own clean prediction; all have the same weight.
        tile: height and width of the periodic proto-tile; None for a perturbation of the size of the images.
        passes: number of passes over the images.
        batch_size: images per step; ignored for a loader.
        lr: initial step size, in grey levels.
        momentum: decay of the sum of past gradients.
        smoothing: standard deviation, in pixels, of the Gaussian that smooths the gradient of the tile; 0 for none.
        loss: loss at each location; None for the generalized cross entropy.
        reduction: reduction over the locations of an image; None for the mean, or `Balanced(0.65)` if the goal has a
            region.
        random_shift: whether to shift the tile randomly in each step, so that its position does not matter.
        random_scale: smallest and largest factor by which the images are resized at random in each step, before the
            perturbation is added; None for the images as they are.
        random_crop: height and width of the part of the images, at a random place in each step, to which a tile is
            added; None for whole images.
        combine: returns the gradient `(3, h, w)` of the tile for those of all networks `(M, 3, h, w)`, each scaled to
            the same mean magnitude for each image; None for their sum.
        seed: seed of the order of the images and of random objectives; each image keeps its target in all passes.
        progress: whether to show a progress bar.

    Returns:
        The perturbation, within epsilon; `perturbation(images)` adds it to images.

    Raises:
        InputError: a value is out of range, there are no images, images differ in size or are on the scale from 0 to
            1, or a gradient is not finite.

    Warns:
        UserWarning: all steps together are too small to reach epsilon, or the gradient was 0 in every step.

    Example:
        >>> import torch
        >>> from uap.objectives import Untargeted
        >>> _ = torch.manual_seed(0)
        >>> victim = torch.nn.Conv2d(3, 2, 1)
        >>> delta = learn(victim, torch.full((8, 3, 8, 8), 9.0), Untargeted(), epsilon=5, progress=False)
        >>> delta.proto.shape, float(delta.proto.detach().abs().max())
        (torch.Size([3, 8, 8]), 5.0)
    """
    for name, given, least in (("passes", passes, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
        if given < least:
            raise InputError(f"{name} is {given}, expected {least} or more.", setting=name, kind="out_of_range")
    batches = Batches(images, batch_size, torch.Generator().manual_seed(seed), device_of(victim))
    loss, total = loss or GeneralizedCrossEntropy(), passes * len(batches)
    loss.check(objective.sign)
    reduction = reduction or default_reduction(objective.has_region)
    objectives = [objective, *(copy.deepcopy(objective) for _ in ensemble)]  # each looks up the classes of its network
    members = [
        Member(one, own, seed, loss, reduction) for one, own in zip([victim, *ensemble], objectives, strict=True)
    ]
    trial = Perturbation((1, 1), epsilon)
    warn_of_small_steps(
        trial.parameter, *_optimizer(trial, lr, momentum, smoothing, total), total, epsilon, ("lr", "epsilon")
    )
    perturbation: Perturbation | None = None
    has_gradient = False
    with ExitStack() as stack, tqdm(total=total, desc="Learning", unit="step", disable=not progress) as bar:
        for member in members:
            stack.enter_context(in_eval_mode(member.victim))
        for step, batch in enumerate(batch for _ in range(passes) for batch in batches):
            if perturbation is None:
                size = (batch.images.shape[-2], batch.images.shape[-1])
                perturbation = Perturbation(tile or size, epsilon).to(batch.images.device)
                if not loss.has_gradient_at_clean_image:
                    perturbation.start_at_random_(torch.Generator().manual_seed(seed))
                views = RandomViews(random_scale, random_crop, tile or size)
                optimizer, schedule = _optimizer(perturbation, lr, momentum, smoothing, total)
            if tuple(batch.images.shape[-2:]) != size:
                raise InputError(
                    f"Images have the sizes {size} and {tuple(batch.images.shape[-2:])}, expected one.",
                    setting="images",
                    kind="wrong_shape",
                )
            view = views.draw([seed, step])
            seen = view.images(batch.images) if view else batch.images
            shift = shift_of([seed, step], tile or size) if random_shift else (0, 0)
            adversarial = perturbation(seen, shift)
            gradients = [
                member.gradient(adversarial.detach(), batch, view, seen, step / total, is_unit=len(members) > 1)
                for member in members
            ]
            gradient = _tile_gradient(perturbation.proto, adversarial, gradients, combine)
            if not gradient.isfinite().all():
                raise InputError(
                    f"The gradient is not finite at step {step}. Check the network and the images.", kind="not_finite"
                )
            has_gradient = has_gradient or bool(gradient.any())
            perturbation.proto.grad = gradient
            optimizer.step()
            schedule.step()
            perturbation.project_(epsilon)
            bar.update()
            bar.set_postfix_str(f"reached {', '.join(f'{member.reached:.3f}' for member in members)}", refresh=False)
    if perturbation is None:  # a loader with a length, but without batches
        raise InputError("There are no images, expected one or more.", setting="images", kind="out_of_range")
    if not has_gradient:
        stays = "0" if loss.has_gradient_at_clean_image else "the random start"
        warnings.warn(
            f"The perturbation is {stays}, because the gradient was 0 in every step. The network may be saturated or "
            "round its input, which is no robustness. Try another loss, or learn on the network without the cause.",
            stacklevel=2,
        )
    perturbation.image_size = None if tile else size
    return perturbation.requires_grad_(False)


def _tile_gradient(
    proto: Tensor, adversarial: Tensor, gradients: list[Tensor], combine: Callable[[Tensor], Tensor] | None
) -> Tensor:
    """Return the gradient of a tile for those of the adversarial images, one for each network."""
    if combine is None:
        return torch.autograd.grad(adversarial, proto, sum(gradients[1:], gradients[0]))[0]
    return combine(torch.stack([torch.autograd.grad(adversarial, proto, g, retain_graph=True)[0] for g in gradients]))


def _optimizer(
    perturbation: Perturbation, lr: float, momentum: float, smoothing: float, steps: int
) -> tuple[SignSGD, CosineToEnd]:
    """Return the optimizer of a perturbation, and the schedule of its step size."""
    optimizer = SignSGD([perturbation.parameter], lr, momentum, smoothing)
    schedule = CosineToEnd(optimizer)
    schedule.total_steps = steps
    return optimizer, schedule
