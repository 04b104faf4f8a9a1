"""A check of the gradient of a victim with respect to the image against finite differences."""

import torch
from torch import Tensor, nn

from uap.victims import Victim

STEP = 1e-6
"""Step of the finite differences in grey levels, small enough that few ReLUs change their state."""


@torch.no_grad()
def settle(network: nn.Module) -> None:
    """Set the statistics of BatchNorms to those of noise, so that the signal of random weights does not vanish."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    network.eval()(torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()


def _take_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
    norm.get_buffer("running_mean").copy_(mean)
    norm.get_buffer("running_var").copy_(variance)


def assert_gradient_is_right(victim: Victim, height: int, width: int, count: int = 1) -> None:
    """Compare derivatives of a random weighting of all logits along random directions, in double precision."""
    victim.double()
    noise = torch.Generator().manual_seed(0)
    images = 20 + 215 * torch.rand(count, 3, height, width, generator=noise, dtype=torch.float64)
    images.requires_grad_()
    logits = victim(images)
    assert logits.shape[-2:] == (height, width)
    weighting = torch.randn(logits.shape, generator=noise, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((logits * weighting).sum(), images)
    for _ in range(3):
        direction = torch.randn(images.shape, generator=noise, dtype=torch.float64)
        slope = _difference(victim, images.detach(), direction, weighting)
        torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-6 * float(gradient.norm()))


@torch.no_grad()
def _difference(victim: Victim, images: Tensor, direction: Tensor, weighting: Tensor) -> Tensor:
    ahead, behind = (victim(images + sign * STEP * direction) for sign in (1, -1))
    slope: Tensor = ((ahead - behind) * weighting).sum() / (2 * STEP)
    return slope
