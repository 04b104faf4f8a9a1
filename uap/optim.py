"""Sign-gradient steps."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import ParamsT

from uap.errors import InputError


class SignSGD(Optimizer):
    """Steps of one size in the direction of the gradient's sign.

    Without momentum it is the step of Metzen et al. (sec. 3.3). With momentum the sign is that of a decaying sum of
    gradients, each divided by its mean magnitude (Dong et al., CVPR 2018, eq. 6, up to a constant that the sign drops).
    """

    def __init__(self, params: ParamsT, lr: float = 1.0, momentum: float = 0.0) -> None:
        """Set the step.

        Args:
            params: what to optimise.
            lr: the step size, in the parameters' unit.
            momentum: decay of the sum of past gradients; 0 is the paper.

        Raises:
            InputError: a step size that is not positive, a momentum that is not within [0, 1).
        """
        if not lr > 0 or not 0 <= momentum < 1:
            raise InputError(f"step_size is {lr} and momentum {momentum}, expected above 0 and within 0 and 1.")
        super().__init__(params, {"lr": lr, "momentum": momentum})

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
                    direction = self._direction(parameter, parameter.grad, group["momentum"])
                    parameter.sub_(direction.sign_(), alpha=float(group["lr"]))
        return loss

    def _direction(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        if momentum == 0:
            return gradient.clone()
        scaled = gradient / gradient.abs().mean().clamp(min=1e-30)
        state = self.state[parameter]
        state["momentum"] = scaled if "momentum" not in state else momentum * state["momentum"] + scaled
        return torch.clone(state["momentum"])


class CosineToEnd(LRScheduler):
    """The step size falls by a half cosine from its start to `final` times it when the run ends.

    The attack tells it how long the run is; every other scheduler of torch can be named in its place.
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
