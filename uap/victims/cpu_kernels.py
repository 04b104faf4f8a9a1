"""Layers of a frozen network that compute the gradient of their input alone, and keep only what it needs.

PyTorch's PReLU computes the gradient of its slopes whether it is asked for or not, as large as its input, and in a loop
that branches on every value. Its BatchNorm in eval mode sums up the gradients of scale and shift likewise, and keeps
its input for them. Together they are a third of the time of ESPNet's and CGNet's pass on a CPU (`benchmarks.passes`).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _PReLUToInput(torch.autograd.Function):
    """PReLU whose only gradient is that of its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor) -> Tensor:
        """Return `x` where it is positive, and `x` times its channel's slope elsewhere."""
        ctx.save_for_backward(x, slopes)
        return F.prelu(x, slopes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient, times the slope where the input was not positive."""
        x, slopes = (tensor.to(gradient.dtype) for tensor in ctx.saved_tensors)  # autocast may part them
        positive = torch.ops.aten.threshold_backward(gradient, x, 0)
        # by arithmetic, not by `where`, which branches: positive + slope * (gradient - positive)
        return positive.lerp_(gradient, slopes.view(-1, *[1] * (x.dim() - 2))), None


class FrozenPReLU(nn.PReLU):
    """A PReLU that is not trained; in all else, its name among them, the one that it was."""

    def _get_name(self) -> str:
        return "PReLU"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` `(N, C, ...)` where it is positive, and `x` times its channel's slope elsewhere."""
        result: Tensor = _PReLUToInput.apply(x, self.weight.to(x.dtype))
        return result


class _BatchNormToInput(torch.autograd.Function):
    """A scale and a shift of each channel, whose only gradient is that of the input."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float
    ) -> Tensor:
        """Return the channels of `x` normalized by the running statistics."""
        scale = torch.rsqrt(variance + epsilon)
        ctx.save_for_backward(scale if weight is None else scale * weight)
        return F.batch_norm(x, mean, variance, weight, bias, eps=epsilon)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """Return the gradient times the scale of its channel, which under autocast is rounded as the gradient is."""
        (scale,) = ctx.saved_tensors
        return gradient * scale.to(gradient.dtype).view(-1, 1, 1), None, None, None, None, None


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm that is not trained; in all else, its name among them, the one that it was."""

    def _get_name(self) -> str:
        return "BatchNorm2d"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` `(N, C, H, W)` normalized by the running statistics, or as PyTorch does in training mode."""
        if self.training:
            return super().forward(x)
        self._check_input_dim(x)
        statistics = self.running_mean, self.running_var
        result: Tensor = _BatchNormToInput.apply(x, *statistics, self.weight, self.bias, self.eps)
        return result


def freeze_layers(module: nn.Module) -> None:
    """Turn each PReLU, and each BatchNorm with running statistics, inside `module` into a frozen one.

    They stay the same objects: hooks, and what else refers to them, stay with them.
    """
    for _, part in module.named_modules():
        if type(part) is nn.PReLU:
            part.__class__ = FrozenPReLU
        elif type(part) is nn.BatchNorm2d and part.running_mean is not None:
            part.__class__ = FrozenBatchNorm2d
