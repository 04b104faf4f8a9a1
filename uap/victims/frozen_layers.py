"""Layers of a frozen network that compute and keep no more than the gradient of their input needs.

PyTorch's PReLU computes the gradient of its slopes whether it is asked for or not, as large as its input, and in a loop
that branches on every value. Its BatchNorm in eval mode sums up the gradients of scale and shift likewise, and keeps
its input for them. Together they are a third to a half of the time of ESPNet's and CGNet's pass on a CPU.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _PReLUToInput(torch.autograd.Function):
    """PReLU whose only gradient is that of its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor, keep_output: bool) -> Tensor:
        """Return `x` where it is positive, and `x` times its channel's slope elsewhere.

        For the backward pass the output says as well as the input which values are positive, if no slope is negative;
        it is kept for the next layer anyway.
        """
        result = F.prelu(x, slopes)
        ctx.save_for_backward(result if keep_output else x, slopes)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient, times the slope where the input was not positive."""
        kept, slopes = (tensor.to(gradient.dtype) for tensor in ctx.saved_tensors)  # autocast may part them
        positive = torch.ops.aten.threshold_backward(gradient, kept, 0)
        # by arithmetic, not by `where`, which branches: positive + slope * (gradient - positive)
        return positive.lerp_(gradient, slopes.view(-1, *[1] * (kept.dim() - 2))), None, None


class FrozenPReLU(nn.PReLU):
    """A PReLU that is not trained; in all else, its name among them, the one whose place it takes."""

    def __init__(self, module: nn.PReLU) -> None:
        """Take the slopes of `module`, which stay as they are."""
        super().__init__(module.num_parameters)
        self.weight = module.weight
        self.training = module.training
        self.keep_output = bool((module.weight >= 0).all())

    def _get_name(self) -> str:
        return "PReLU"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` `(N, C, ...)` where it is positive, and `x` times its channel's slope elsewhere."""
        result: Tensor = _PReLUToInput.apply(x, self.weight.to(x.dtype), self.keep_output)
        return result


class _BatchNormToInput(torch.autograd.Function):
    """A scale and a shift of each channel, whose only gradient is that of the input."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float
    ) -> Tensor:
        """Return the channels of `x` normalised by the running statistics."""
        scale = torch.rsqrt(variance + epsilon)
        ctx.save_for_backward(scale if weight is None else scale * weight)
        return F.batch_norm(x, mean, variance, weight, bias, eps=epsilon)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """Return the gradient times the scale of its channel."""
        (scale,) = ctx.saved_tensors
        return gradient * scale.to(gradient.dtype).view(-1, 1, 1), None, None, None, None, None


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm in eval mode for good; in all else, its name among them, the one whose place it takes."""

    def __init__(self, module: nn.BatchNorm2d) -> None:
        """Take the statistics and the parameters of `module`."""
        super().__init__(module.num_features, module.eps, module.momentum, module.affine)
        self.weight, self.bias = module.weight, module.bias
        self.running_mean, self.running_var = module.running_mean, module.running_var
        self.num_batches_tracked = module.num_batches_tracked
        self.training = module.training

    def _get_name(self) -> str:
        return "BatchNorm2d"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` `(N, C, H, W)` normalised by the running statistics."""
        self._check_input_dim(x)
        statistics = self.running_mean, self.running_var
        result: Tensor = _BatchNormToInput.apply(x, *statistics, self.weight, self.bias, self.eps)
        return result


def freeze_layers(module: nn.Module) -> None:
    """Put frozen layers in the place of each PReLU, and of each BatchNorm with running statistics, inside `module`."""
    for name, part in list(module.named_modules(remove_duplicate=False)):
        if type(part) is nn.PReLU:
            module.set_submodule(name, FrozenPReLU(part))
        elif type(part) is nn.BatchNorm2d and part.running_mean is not None:
            module.set_submodule(name, FrozenBatchNorm2d(part))
