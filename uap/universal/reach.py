"""A warning if the steps of a run are too small to reach epsilon."""

import math
import warnings
from collections.abc import Iterator

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

ROUNDING = 1e-3
"""Relative tolerance for rounding errors in sums of step sizes."""


def warn_of_small_steps(
    parameter: nn.Parameter,
    optimizer: Optimizer,
    schedule: LRScheduler,
    steps: int,
    epsilon: float,
    names: tuple[str, str] = ("model.optimizer.lr", "model.epsilon"),
) -> None:
    """Warn if all steps of a run in one direction would not reach epsilon, as with a step on the scale from 0 to 1.

    There is no warning for optimizers such as SGD, whose step size depends on the magnitude of the gradient.

    Args:
        parameter: a parameter of the optimizer that is not used otherwise; its values change.
        optimizer: an optimizer in its initial state, which changes.
        schedule: its schedule in the initial state, which changes.
        steps: number of steps of the run.
        epsilon: largest absolute value of the perturbation, in grey levels.
        names: names of the settings of the step size and of epsilon, for the message.
    """
    if isinstance(schedule, ReduceLROnPlateau):  # depends on metrics of the run
        return
    moved = _moved(parameter, optimizer)
    if moved is None:
        return
    rounds = optimizer.defaults.get("inner_steps", 1)  # only the last step of a round stays
    reach = 0.0
    for size in _step_sizes(optimizer, schedule, steps):
        reach += moved * size / rounds
        if reach >= epsilon * (1 - ROUNDING):
            return
    warnings.warn(
        f"{names[0]} is {optimizer.defaults['lr']:g}: the {steps} steps of the run can move the perturbation by "
        f"{reach:.3g} grey levels (0 to 255), which is below {names[1]} {epsilon:g}. Set a larger lr, or take more "
        "passes over the images.",
        stacklevel=3,
    )


def _moved(parameter: nn.Parameter, optimizer: Optimizer) -> float | None:
    """Return the change by a first step of size 1; None if it depends on the magnitude of the gradient."""
    group, found = optimizer.param_groups[0], []
    size, group["lr"] = group["lr"], 1.0
    for gradient in (1.0, 1000.0):
        optimizer.state.clear()
        before = parameter.detach().clone()
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
        found.append(float((parameter.detach() - before).abs().max()))
    group["lr"] = size
    small, large = found
    return small if 0 < large <= small * (1 + ROUNDING) < math.inf else None


def _step_sizes(optimizer: Optimizer, schedule: LRScheduler, steps: int) -> Iterator[float]:
    for _ in range(steps):
        yield float(optimizer.param_groups[0]["lr"])
        schedule.step()
