"""What a pixel costs: the paper's cross entropy, and the losses that came after it.

All are written for a target that is to be reached; their papers have most of them for labels that are to be left.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.errors import InputError
from uap.labels import IGNORE
from uap.losses.base import PixelLoss, cross_entropy


class CrossEntropy(PixelLoss):
    """The cross entropy of each pixel with the target, 0 where the target is reached with confidence.

    Metzen et al., sec. 3.2: pixels that are predicted as the target with a softmax probability above the cut-off stop
    to compete with those that are not. No gradient flows through that test. A cut-off of 0 leaves the pixels that are
    not predicted as the target yet: the masked cross entropy of Croce et al. (ECCV 2024).
    """

    def __init__(self, confidence: float | None = 0.75) -> None:
        """Set the cut-off.

        Args:
            confidence: the cut-off tau, a probability; none for no cut-off.

        Raises:
            InputError: it is not within [0, 1).
        """
        if confidence is not None and not 0 <= confidence < 1:
            raise InputError(f"loss.confidence is {confidence}, expected a probability from 0 and below 1, or null.")
        self.confidence = confidence

    def __call__(self, logits: Tensor, target: Tensor, progress: float = 0.0) -> Tensor:
        """Return (N, H, W) losses of the pixels; the progress changes nothing."""
        loss = cross_entropy(logits, target)
        if self.confidence is None:
            return loss
        with torch.no_grad():
            # the cross entropy is -log of the target's probability
            reached = loss < -math.log(self.confidence) if self.confidence else torch.ones_like(loss, dtype=torch.bool)
            if self.confidence < 0.5:  # above it a class is the arg max by itself
                reached &= logits.argmax(1) == target
        return loss.masked_fill(reached, 0.0)


class GeneralisedCrossEntropy(PixelLoss):
    """(1 - p^q) / q of the target's probability p (Zhang and Sabuncu, NeurIPS 2018, eq. 6).

    With q near 0 it is the cross entropy, with 1 the probability of all classes but the target. Its gradient is that of
    the cross entropy times p^q: pixels far from the target pull less than those that are about to change, so that one
    perturbation for all images spends itself where it can win; with q = 1 they hardly pull at all.
    """

    def __init__(self, q: float = 0.5) -> None:
        """Set the exponent.

        Raises:
            InputError: it is not within (0, 1].
        """
        if not 0 < q <= 1:
            raise InputError(f"loss.q is {q}, expected an exponent above 0 and up to 1.")
        self.q = q

    def __call__(self, logits: Tensor, target: Tensor, progress: float = 0.0) -> Tensor:
        """Return (1 - p^q) / q; the progress changes nothing."""
        return -torch.expm1(-self.q * cross_entropy(logits, target)) / self.q


class JensenShannon(PixelLoss):
    """The Jensen-Shannon divergence between the softmax and the target (Croce et al., ECCV 2024, sec. 3).

    With p the target's probability it is (p log p - (1 + p) log(1 + p)) / 2 + log 2, since all other classes have a
    share of 0 in the target: at most log 2, and flat there.
    """

    def __call__(self, logits: Tensor, target: Tensor, progress: float = 0.0) -> Tensor:
        """Return the divergence, in nats; the progress changes nothing."""
        log_p = -cross_entropy(logits, target)
        p = log_p.exp()
        return (p * log_p - (1 + p) * torch.log1p(p)) / 2 + math.log(2)


class Margin(PixelLoss):
    """How far the best other logit is above the target's, at least 0 (Carlini and Wagner, S&P 2017, f_6)."""

    def __init__(self, margin: float = 1.0) -> None:
        """Set by how much the target's logit is to be above all others.

        Raises:
            InputError: it is below 0.
        """
        if not margin >= 0:
            raise InputError(f"loss.margin is {margin}, expected a difference of logits, 0 or more.")
        self.margin = margin

    def __call__(self, logits: Tensor, target: Tensor, progress: float = 0.0) -> Tensor:
        """Return max(0, best other - target + margin); the progress changes nothing."""
        ignored = target == IGNORE
        index = target.masked_fill(ignored, 0)[:, None]
        others = logits.scatter(1, index, -math.inf).amax(1)
        loss: Tensor = F.relu(others - logits.gather(1, index)[:, 0] + self.margin)
        return loss.masked_fill(ignored, 0.0)


class SegPGD(PixelLoss):
    """The cross entropy, of which pixels that show the target already get a growing share (Gu et al., ECCV 2022).

    With progress t their weight is t / 2, that of the others 1 - t / 2 (eq. 4 and 5, for a target).
    """

    def __call__(self, logits: Tensor, target: Tensor, progress: float = 0.0) -> Tensor:
        """Return the weighted cross entropy; no gradient flows through the weights."""
        reached = logits.argmax(1) == target
        weight = torch.where(reached, progress / 2, 1 - progress / 2).to(logits.dtype)
        return weight * cross_entropy(logits, target)


class CosPGD(PixelLoss):
    """The cross entropy times 1 - cosine of softmax and target (Agnihotri et al., ICML 2024, eq. 5, targeted)."""

    def __call__(self, logits: Tensor, target: Tensor, progress: float = 0.0) -> Tensor:
        """Return the weighted cross entropy; no gradient flows through the weights. The progress changes nothing."""
        loss = cross_entropy(logits, target)
        with torch.no_grad():  # the target is a unit vector, so that the cosine is p over the length of the softmax
            distance: Tensor = 1 - (-loss).exp() / F.softmax(logits, 1).norm(dim=1)
        return distance * loss
