"""What is minimised: one number per image, divided by a count that is the image's own and not the batch's."""

import abc
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.errors import InputError
from uap.labels import IGNORE


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


def target_cross_entropy(logits: Tensor, target: Tensor, confidence: float | None) -> Tensor:
    """Cross entropy of each pixel with the target, 0 where the target is reached with confidence.

    Metzen et al., sec. 3.2: pixels that are predicted as the target with a softmax probability above the cut-off stop
    to compete with those that are not. No gradient flows through that test.

    Args:
        logits: (N, C, H, W).
        target: (N, H, W) int64 class ids, 255 = ignored.
        confidence: the cut-off tau, or None for none.

    Returns:
        (N, H, W), 0 on ignored pixels.
    """
    loss: Tensor = PixelCrossEntropy.apply(logits, target)
    if confidence is None:
        return loss
    with torch.no_grad():
        reached = loss < -math.log(confidence)  # the cross entropy is -log of the target's probability
        if confidence < 0.5:  # above it a class is the arg max by itself
            reached &= logits.argmax(1) == target
    return loss.masked_fill(reached, 0.0)


class TargetLoss(abc.ABC):
    """Gives the loss of each image; lower is nearer to the target."""

    def __init__(self, confidence: float | None = 0.75) -> None:
        """Set the cut-off tau.

        Raises:
            InputError: it is not within (0, 1).
        """
        if confidence is not None and not 0 < confidence < 1:
            raise InputError(f"loss.confidence is {confidence}, expected a probability within 0 and 1, or null.")
        self.confidence = confidence

    def __call__(self, logits: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
        """Return (N,) losses for logits (N, C, H, W), targets (N, H, W) int64 and I_o (N, H, W) bool."""
        return self.reduce(target_cross_entropy(logits, target, self.confidence), hidden)

    @abc.abstractmethod
    def reduce(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Return (N,) for the losses of the pixels (N, H, W) and I_o (N, H, W) bool."""


class CrossEntropy(TargetLoss):
    """J_ss, the mean over all pixels; with omega J_ss^omega, which weighs I_o against the rest (Metzen, sec. 3.2)."""

    def __init__(self, omega: float | None = None, confidence: float | None = 0.75) -> None:
        """Set the weights.

        Args:
            omega: weight of the pixels of I_o, 1 - omega that of the others; none weighs all by 1.
            confidence: the cut-off tau.

        Raises:
            InputError: omega is not within [0, 1].
        """
        super().__init__(confidence)
        if omega is not None and not 0 <= omega <= 1:
            raise InputError(f"loss.omega is {omega}, expected a weight from 0 to 1 (the paper has 0.9999), or null.")
        self.omega = omega

    def reduce(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Return the weighted sum over the full pixel count."""
        if self.omega is not None:
            pixels = pixels * torch.where(hidden, self.omega, 1 - self.omega)
        return pixels.mean((1, 2))


class BalancedCrossEntropy(TargetLoss):
    """The mean over I_o and the mean over the background of each image, weighed against each other.

    The two goals of a dynamic target then weigh the same in every image, whatever their share of it; omega weighs
    pixels, and with it an image counts by how much it has to hide.
    """

    def __init__(self, hidden_weight: float = 0.5, smoothing: float = 500.0, confidence: float | None = 0.75) -> None:
        """Set the weights.

        Args:
            hidden_weight: weight of the mean over I_o; that of the background has the rest of 1.
            smoothing: pixels added to the count of I_o, so that a few stray pixels do not weigh like a crowd.
            confidence: the cut-off tau.

        Raises:
            InputError: a weight that is not within [0, 1], a smoothing below 0.
        """
        super().__init__(confidence)
        if not 0 <= hidden_weight <= 1 or not smoothing >= 0:
            raise InputError(
                f"loss.hidden_weight is {hidden_weight} and smoothing {smoothing}, expected 0 to 1, and 0 or more."
            )
        self.hidden_weight = hidden_weight
        self.smoothing = smoothing

    def reduce(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Return the weighted sum of the two means."""
        count = hidden.flatten(1).sum(1)
        inside = (pixels * hidden).sum((1, 2)) / (count + self.smoothing).clamp(min=1)
        outside = (pixels * ~hidden).sum((1, 2)) / (hidden[0].numel() - count).clamp(min=1)
        return self.hidden_weight * inside + (1 - self.hidden_weight) * outside
