"""What a loss of pixels is, and the cross entropy that most are made of."""

import abc
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from uap.labels import IGNORE

LARGEST_LOGIT, SMALLEST_SUM = 57.0, 1e-25
"""Below the one and above the other no exponential that counts is out of float32's range."""


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
    """Cross entropy of each pixel that makes one tensor as large as the logits, and makes it the gradient in place.

    The logits of a segmentation network are the largest tensors of a step; torch's own function has three at a time,
    and where the classes lie next to each other in memory, as in a fast network's output, it copies them besides.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        """Return (N, H, W) for logits (N, C, H, W) and targets (N, H, W) int64, 0 where the target is 255."""
        ignored = target == IGNORE
        index = target.masked_fill(ignored, 0)[:, None]
        exponentials, total, shift = shifted_exponentials(logits)
        ctx.save_for_backward(exponentials, total, index, ignored)
        loss = total.log() - (logits.gather(1, index) - shift)
        return loss[:, 0].clamp_(min=0).masked_fill_(ignored, 0.0)  # rounding may leave a confident pixel below 0

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return (softmax - one-hot target) * gradient."""
        exponentials, total, index, ignored = ctx.saved_tensors
        gradient = gradient.masked_fill(ignored, 0.0)[:, None]
        return exponentials.mul_(gradient / total).scatter_add_(1, index, -gradient), None


def shifted_exponentials(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return exp(logits - shift) (N, C, H, W), their sums over the classes (N, 1, H, W), and the shift of a pixel.

    The largest logit of each pixel as shift keeps the exponentials in range, but on a CPU it takes as long to find as
    all else, and most logits are in range without; a GPU finds it fast, and would wait for the answer whether they are.
    Without it a loss is exact to some 1e-5, as the difference of two numbers of the size of the logits; gradients lose
    nothing.
    """
    if logits.device.type == "cpu" and logits.amax() < LARGEST_LOGIT:
        exponentials = logits.exp()
        total = exponentials.sum(1, keepdim=True)
        if total.amin() > SMALLEST_SUM:
            return exponentials, total, logits.new_zeros(())
        del exponentials, total
    shift = largest_logit(logits)
    exponentials = (logits - shift).exp_()
    return exponentials, exponentials.sum(1, keepdim=True), shift


def largest_logit(logits: Tensor) -> Tensor:
    """Return (N, 1, H, W), the largest of (N, C, H, W), halves against halves.

    torch's own maximum over few numbers that lie next to each other takes twice as long on a CPU.
    """
    while (count := logits.shape[1]) > 1:
        half = (count + 1) // 2  # of an odd number the middle one is in both
        logits = torch.maximum(logits[:, :half], logits[:, -half:])
    return logits


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross entropy of each pixel (N, H, W), 0 where ignored, for logits (N, C, H, W) and (N, H, W) ids."""
    loss: Tensor = PixelCrossEntropy.apply(logits, target)
    return loss
