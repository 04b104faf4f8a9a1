"""Faster forward and backward passes of a frozen network on a CPU.

The PReLU of PyTorch always computes the gradient of its slopes, which is as large as its input, in a slow loop. In eval
mode, BatchNorm computes the gradients of scale and shift and stores its input for them. Both take a third of the
forward and backward time of ESPNet and CGNet on a CPU (`benchmarks.passes`). `FrozenPReLU` and `FrozenBatchNorm2d` only
compute the gradient of the input.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _PReLUInputGradient(torch.autograd.Function):
    """PReLU with the gradient of the input only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor) -> Tensor:
        """Return `x` where it is positive, and `x` times its channel's slope elsewhere."""
        ctx.save_for_backward(x, slopes)
        return F.prelu(x, slopes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient, multiplied by the slope where the input was not positive."""
        x, slopes = (
            tensor.to(gradient.dtype) for tensor in ctx.saved_tensors
        )  # their dtypes can differ under autocast
        positive = torch.ops.aten.threshold_backward(gradient, x, 0)
        # positive + slope * (gradient - positive): faster than `torch.where`
        return positive.lerp_(gradient, slopes.view(-1, *[1] * (x.dim() - 2))), None


class FrozenPReLU(nn.PReLU):
    """A PReLU without a gradient of its slopes; its values, its state and its name are those of `nn.PReLU`."""

    def _get_name(self) -> str:
        return "PReLU"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` `(N, C, ...)` where it is positive, and `x` times its channel's slope elsewhere."""
        result: Tensor = _PReLUInputGradient.apply(x, self.weight.to(x.dtype))
        return result


class _BatchNormInputGradient(torch.autograd.Function):
    """BatchNorm in eval mode with the gradient of the input only."""

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
        """Return the gradient times the scale of its channel; the scale is cast to the dtype of the gradient."""
        (scale,) = ctx.saved_tensors
        return gradient * scale.to(gradient.dtype).view(-1, 1, 1), None, None, None, None, None


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm without gradients of scale and shift; values, state and name are those of `nn.BatchNorm2d`."""

    def _get_name(self) -> str:
        return "BatchNorm2d"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` `(N, C, H, W)` normalized by the running statistics, or as PyTorch does in training mode."""
        if self.training:
            return super().forward(x)
        self._check_input_dim(x)
        statistics = self.running_mean, self.running_var
        result: Tensor = _BatchNormInputGradient.apply(x, *statistics, self.weight, self.bias, self.eps)
        return result


def freeze_layers(module: nn.Module) -> None:
    """Change each PReLU, and each BatchNorm with running statistics, inside `module` to its frozen class.

    The layers stay the same objects, so that their hooks and other references to them stay valid.
    """
    for _, layer in module.named_modules():
        if type(layer) is nn.PReLU:
            layer.__class__ = FrozenPReLU
        elif type(layer) is nn.BatchNorm2d and layer.running_mean is not None:
            layer.__class__ = FrozenBatchNorm2d


@torch.no_grad()
def zero_subnormals(module: nn.Module) -> None:
    """Set the weights and buffers below the smallest normal number of their dtype (1.2e-38 in float32) to 0, in place.

    Weight decay leaves such numbers in channels that contribute nothing. CPUs compute with them much more slowly: the
    published CGNet of CamVid needs 15 times the time for a forward and backward pass (`benchmarks.subnormals`).

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.constant_(layer.weight, 1e-40)
        >>> zero_subnormals(layer)
        >>> layer.weight.tolist()
        [[0.0, 0.0]]
    """
    for _, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            subnormal = (tensor.abs() < torch.finfo(tensor.dtype).tiny) & (tensor != 0)
            if subnormal.any():
                tensor[subnormal] = 0
