"""How the pixels of an image add up: one number per image, divided by a count that is its own and not the batch's."""

import abc

import torch
from torch import Tensor

from uap.errors import InputError


class PixelWeights(abc.ABC):
    """Sums up the pixels of each image."""

    @abc.abstractmethod
    def __call__(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Return (N,) for the losses of the pixels (N, H, W) and I_o (N, H, W) bool."""


class Uniform(PixelWeights):
    """J_ss, the mean over all pixels (Metzen et al., sec. 3)."""

    def __call__(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Return the mean."""
        return pixels.mean((1, 2))


class Omega(PixelWeights):
    """J_ss^omega, which weighs the pixels of I_o against the others (Metzen et al., sec. 3.2)."""

    def __init__(self, omega: float) -> None:
        """Set the weights.

        Args:
            omega: weight of the pixels of I_o; that of the others is 1 - omega.

        Raises:
            InputError: omega is not within [0, 1].
        """
        if not 0 <= omega <= 1:
            raise InputError(f"weights.omega is {omega}, expected a weight from 0 to 1 (the paper has 0.9999).")
        self.omega = omega

    def __call__(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Return the weighted sum over the full pixel count."""
        return (pixels * torch.where(hidden, self.omega, 1 - self.omega)).mean((1, 2))


class Balanced(PixelWeights):
    """The mean over I_o and the mean over the background of each image, weighed against each other.

    The two goals of a dynamic target then weigh the same in every image, whatever their share of it; omega weighs
    pixels, and with it an image counts by how much it has to hide.
    """

    def __init__(self, hidden_weight: float = 0.5, smoothing: float = 500.0) -> None:
        """Set the weights.

        Args:
            hidden_weight: weight of the mean over I_o; that of the background has the rest of 1.
            smoothing: pixels added to the count of I_o, so that a few stray pixels do not weigh like a crowd.

        Raises:
            InputError: a weight that is not within [0, 1], a smoothing below 0.
        """
        if not 0 <= hidden_weight <= 1 or not smoothing >= 0:
            raise InputError(
                f"weights.hidden_weight is {hidden_weight} and smoothing {smoothing}, expected 0 to 1, and 0 or more."
            )
        self.hidden_weight = hidden_weight
        self.smoothing = smoothing

    def __call__(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Return the weighted sum of the two means."""
        count = hidden.flatten(1).sum(1)
        inside = (pixels * hidden).sum((1, 2)) / (count + self.smoothing).clamp(min=1)
        outside = (pixels * ~hidden).sum((1, 2)) / (hidden[0].numel() - count).clamp(min=1)
        return self.hidden_weight * inside + (1 - self.hidden_weight) * outside
