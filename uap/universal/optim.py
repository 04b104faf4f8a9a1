"""Sign-gradient steps."""

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
    """An optimizer whose step treats each tensor by itself."""

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
    """Steps of one size in the direction of the gradient's sign.

    Without momentum it is the step of Metzen et al. (sec. 3.3). With momentum the sign is that of a decaying sum of
    gradients, each divided by its mean magnitude (Dong et al., CVPR 2018, eq. 6, up to a constant that the sign drops).

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> weight.grad = torch.tensor([0.3, -5.0])
        >>> SignSGD([weight], lr=2.0).step()
        >>> weight.tolist()
        [-2.0, 2.0]
    """

    def __init__(self, params: ParamsT, lr: float = 2.0, momentum: float = 0.9) -> None:
        """Set the step.

        Args:
            params: what to optimize.
            lr: the step size, in the parameters' unit; 1 is the paper.
            momentum: decay of the sum of past gradients; 0 is the paper.

        Raises:
            InputError: a step size that is not positive, a momentum that is not within [0, 1).
        """
        if not 0 < lr < math.inf or not 0 <= momentum < 1:
            raise InputError(
                f"optimizer.lr is {lr} and momentum {momentum}, expected a step above 0 and a decay from 0 to below 1."
            )
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        direction = gradient
        if group["momentum"]:
            scaled = gradient / gradient.abs().mean().clamp(min=1e-30)
            state = self.state[parameter]
            state["momentum"] = group["momentum"] * state.get("momentum", 0) + scaled
            direction = state["momentum"]
        parameter.sub_(direction.sign(), alpha=float(group["lr"]))


class GradientAggregation(_ByTensor):
    """Stochastic gradient aggregation (Liu et al., ICCV 2023): sign steps that look ahead, then one from their start.

    Each of `inner_steps` steps goes by the sign of its own gradient; the last one returns to the start of the round and
    goes from there by the sign of the sum of the round's gradients, which is steadier than that of one small batch.

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
        """Set the steps.

        Args:
            params: what to optimize.
            lr: the size of the inner and of the outer steps, in the parameters' unit.
            inner_steps: gradients to a round; in the middle of one the parameters are those of the look-ahead.

        Raises:
            InputError: a step size that is not positive, a number of steps below 1.
        """
        if not 0 < lr < math.inf or inner_steps < 1:
            raise InputError(f"optimizer.lr is {lr} and inner_steps {inner_steps}, expected above 0, and 1 or more.")
        super().__init__(params, {"lr": lr, "inner_steps": inner_steps})

    def check(self, steps: int) -> None:
        """Check that a run of so many steps ends with a round.

        Raises:
            InputError: it ends within one.
        """
        inner = self.defaults["inner_steps"]
        if steps % inner:
            raise InputError(
                f"The run has {steps} steps, which is no multiple of optimizer.inner_steps {inner}, so that it would "
                "end in the middle of a round. Set another inner_steps, or other trainer.max_epochs or data.limit."
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
    """Return images `(N, C, H, W)`; the gradient of each that comes back is scaled to a mean magnitude `weight` `(N,)`.

    With it several networks count alike, however steep their losses are. Each image is scaled by itself, so that the
    gradients of batches still add up.

    Example:
        >>> images = torch.ones(1, 1, 1, 2, requires_grad=True)
        >>> (unit_gradient(images, torch.ones(1)) * torch.tensor([2.0, 6.0])).sum().backward()
        >>> images.grad.tolist()
        [[[[0.5, 1.5]]]]
    """
    result: Tensor = _UnitGradient.apply(images, weight)
    return result


class CosineToEnd(LRScheduler):
    """The step size falls by a half cosine from its start to `final` times it when the run ends.

    The attack tells it how long the run is; every other scheduler of torch can be named in its place.

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
        """Schedule `optimizer`, stepped once after each of its steps."""
        self.final = final
        self.total_steps = 1
        super().__init__(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the run's length, which is the resumed run's own."""
        return {name: value for name, value in super().state_dict().items() if name != "total_steps"}

    def get_lr(self) -> list[float | Tensor]:
        """Return the step size of each group."""
        progress = min(self.last_epoch / self.total_steps, 1.0)
        factor = self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2
        return [base * factor for base in self.base_lrs]
