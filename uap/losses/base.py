"""What a loss of pixels is, and the cross entropy that most are made of."""

import abc
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.labels import IGNORE


class PixelLoss(abc.ABC):
    """Gives the loss of each pixel; lower is nearer to the target."""

    @abc.abstractmethod
    def __call__(self, logits: Tensor, target: Tensor, progress: float = 0.0) -> Tensor:
        """Return the losses of the pixels.

        Args:
            logits: (N, C, H, W).
            target: (N, H, W) int64 class ids, 255 = ignored.
            progress: the share of the run that is done, 0 to 1.

        Returns:
            (N, H, W), 0 on ignored pixels.
        """


class PixelCrossEntropy(torch.autograd.Function):
    """Cross entropy of each pixel that keeps one copy of the logits for the backward pass, and makes one more in it.

    The logits of a segmentation network are the largest tensors of a step; torch's own function has three at a time.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        """Return (N, H, W) for logits (N, C, H, W) and targets (N, H, W) int64, 0 where the target is 255."""
        ignored = target == IGNORE
        index = target.masked_fill(ignored, 0)[:, None]
        log_probability = F.log_softmax(logits, 1)
        ctx.save_for_backward(log_probability, index, ignored)
        return -log_probability.gather(1, index)[:, 0].masked_fill(ignored, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return (softmax - one-hot target) * gradient."""
        log_probability, index, ignored = ctx.saved_tensors
        gradient = gradient.masked_fill(ignored, 0.0)[:, None]
        result = log_probability.exp()
        result.mul_(gradient).scatter_add_(1, index, -gradient.to(result.dtype))
        return result, None


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross entropy of each pixel (N, H, W), 0 where ignored, for logits (N, C, H, W) and (N, H, W) ids."""
    loss: Tensor = PixelCrossEntropy.apply(logits, target)
    return loss
