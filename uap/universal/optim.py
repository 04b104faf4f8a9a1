"""Optimizers with sign-gradient steps, and the cosine schedule."""

import abc
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import ParamsT

from uap.utils.errors import InputError


class _ByTensor(Optimizer):
    """An optimizer that updates each tensor separately."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    @abc.abstractmethod
    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None: ...


class SignSGD(_ByTensor):
    """Sign-gradient descent, with momentum.

    Without momentum, the steps are those of Metzen et al. (sec. 3.3). With momentum, the sign is that of a decaying sum
    of gradients, each divided by its mean magnitude (Dong et al., CVPR 2018, eq. 6, up to a constant factor, which does
    not change the sign).

    Smoothed gradients (Dong et al., CVPR 2019, arXiv 1904.02884, eq. 9) lead to a perturbation without fine detail.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> weight.grad = torch.tensor([0.3, -5.0])
        >>> SignSGD([weight], lr=2.0).step()
        >>> weight.tolist()
        [-2.0, 2.0]
    """

    def __init__(self, params: ParamsT, lr: float = 2.0, momentum: float = 0.9, smoothing: float = 0.0) -> None:
        """Set the step size, the momentum and the smoothing.

        Args:
            params: parameters to optimize.
            lr: step size, in the unit of the parameters; 1 in the paper.
            momentum: decay of the sum of past gradients; 0 in the paper.
            smoothing: standard deviation, in pixels, of the Gaussian that smooths each gradient `(..., H, W)`; 0 for
                none.

        Raises:
            InputError: a step size that is not positive, a momentum outside [0, 1), or a negative smoothing.
        """
        if not 0 < lr < math.inf or not 0 <= momentum < 1:
            raise InputError(
                f"optimizer.lr is {lr} and momentum {momentum}, expected a step above 0 and a decay from 0 to below 1.",
                setting=f"model.optimizer.{'momentum' if 0 < lr < math.inf else 'lr'}",
                kind="out_of_range",
            )
        if not 0 <= smoothing < math.inf:
            raise InputError(
                f"optimizer.smoothing is {smoothing}, expected a standard deviation in pixels of 0 or more.",
                setting="model.optimizer.smoothing",
                kind="out_of_range",
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "smoothing": smoothing})

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        sigma = group.get("smoothing", 0.0)  # older checkpoints have none
        direction = gradient = smoothed(gradient, sigma) if sigma else gradient
        if group["momentum"]:
            scaled = gradient / gradient.abs().mean().clamp(min=1e-30)
            state = self.state[parameter]
            state["momentum"] = group["momentum"] * state.get("momentum", 0) + scaled
            direction = state["momentum"]
        parameter.sub_(direction.sign(), alpha=float(group["lr"]))


def smoothed(gradient: Tensor, sigma: float) -> Tensor:
    """Return the periodic convolution of a gradient with a Gaussian.

    Args:
        gradient: `(..., H, W)`, of a proto-tile, whose opposite edges are neighbors.
        sigma: standard deviation in pixels.

    Example:
        >>> smoothed(torch.eye(4)[:1], 100.0).round(decimals=3).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    height, width = gradient.shape[-2:]
    down, right = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    response = torch.exp(-2 * (math.pi * sigma) ** 2 * (down[:, None] ** 2 + right**2)).to(gradient.device)
    result: Tensor = torch.fft.irfft2(torch.fft.rfft2(gradient.float()) * response, s=(height, width))
    return result.to(gradient.dtype)


class GradientAggregation(_ByTensor):
    """Stochastic gradient aggregation (Liu et al., ICCV 2023).

    A round has `inner_steps` gradients. All but the last step use the sign of their own gradient. The last step returns
    to the start of the round and uses the sign of the sum of all gradients of the round, which is less noisy than that
    of a single small batch.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> optimizer = GradientAggregation([weight], lr=1.0, inner_steps=2)
        >>> for gradient in (-1.0, 3.0):
        ...     weight.grad = torch.tensor([gradient])
        ...     optimizer.step()
        ...     print(weight.tolist())
        [1.0]
        [-1.0]
    """

    def __init__(self, params: ParamsT, lr: float = 1.0, inner_steps: int = 4) -> None:
        """Set the step size and the number of inner steps.

        Args:
            params: parameters to optimize.
            lr: size of the inner and outer steps, in the unit of the parameters.
            inner_steps: gradients per round; within a round, the parameters are those of the inner steps.

        Raises:
            InputError: a step size that is not positive, or a number of steps below 1.
        """
        if not 0 < lr < math.inf or inner_steps < 1:
            raise InputError(
                f"optimizer.lr is {lr} and inner_steps {inner_steps}, expected above 0, and 1 or more.",
                setting=f"model.optimizer.{'inner_steps' if 0 < lr < math.inf else 'lr'}",
                kind="out_of_range",
            )
        super().__init__(params, {"lr": lr, "inner_steps": inner_steps})

    def check(self, steps: int) -> None:
        """Check that a run with a number of steps ends with a complete round.

        Raises:
            InputError: the run ends within a round.
        """
        inner = self.defaults["inner_steps"]
        if steps % inner:
            raise InputError(
                f"The run has {steps} steps, which is not a multiple of optimizer.inner_steps {inner}, so that it "
                "would end within a round. Set another inner_steps, trainer.max_epochs or data.limit.",
                setting="model.optimizer.inner_steps",
                kind="conflict",
            )

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, lr = self.state[parameter], float(group["lr"])
        if not state:
            state |= {"start": parameter.clone(), "sum": torch.zeros_like(gradient), "taken": 0}
        state["sum"] += gradient
        state["taken"] += 1
        if state["taken"] < group["inner_steps"]:
            parameter.sub_(gradient.sign(), alpha=lr)
        else:
            parameter.copy_(state["start"] - lr * state["sum"].sign())
            state.clear()


class _UnitGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return images.view_as(images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        magnitude = gradient.abs().mean((1, 2, 3)).clamp(min=1e-30)
        return gradient * (ctx.saved_tensors[0] / magnitude)[:, None, None, None], None


def unit_gradient(images: Tensor, weight: Tensor) -> Tensor:
    """Return images unchanged, and scale the gradient of each image in the backward pass to a given mean magnitude.

    Thus all networks of an ensemble have the same weight, independent of the scale of their losses. Each image is
    scaled separately, so that the gradient does not depend on the batches.

    Args:
        images: `(N, C, H, W)`.
        weight: `(N,)`, the mean magnitude of the gradient of each image.

    Example:
        >>> images = torch.ones(1, 1, 1, 2, requires_grad=True)
        >>> (unit_gradient(images, torch.ones(1)) * torch.tensor([2.0, 6.0])).sum().backward()
        >>> images.grad.tolist()
        [[[[0.5, 1.5]]]]
    """
    result: Tensor = _UnitGradient.apply(images, weight)
    return result


class CosineToEnd(LRScheduler):
    """A cosine schedule from the initial step size to `final` times the initial step size at the end of the run.

    The attack sets `total_steps`. A configuration can name any other scheduler of torch instead.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> weight.grad = torch.ones(1)
        >>> optimizer = SignSGD([weight], lr=2.0)
        >>> schedule = CosineToEnd(optimizer)
        >>> schedule.total_steps = 2
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     schedule.step()
        ...     print(round(schedule.get_last_lr()[0], 6))
        1.0
        0.0
    """

    def __init__(self, optimizer: Optimizer, final: float = 0.0) -> None:
        """Schedule the step size of an optimizer; call `step` after each of its steps.

        Args:
            optimizer: the optimizer.
            final: the last step size, relative to the initial one.
        """
        self.final = final
        self.total_steps = 1
        super().__init__(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the number of steps, which a resumed run sets itself."""
        return {name: value for name, value in super().state_dict().items() if name != "total_steps"}

    def get_lr(self) -> list[float | Tensor]:
        """Return the step size of each group."""
        progress = min(self.last_epoch / self.total_steps, 1.0)
        factor = self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2
        return [base * factor for base in self.base_lrs]
