"""What is minimised: what a pixel costs, and how the pixels of an image add up to one number."""

from uap.losses.base import PixelLoss
from uap.losses.pixel import CosPGD, CrossEntropy, GeneralisedCrossEntropy, JensenShannon, Margin, SegPGD
from uap.losses.weights import Balanced, Omega, PixelWeights, Uniform

__all__ = [
    "Balanced",
    "CosPGD",
    "CrossEntropy",
    "GeneralisedCrossEntropy",
    "JensenShannon",
    "Margin",
    "Omega",
    "PixelLoss",
    "PixelWeights",
    "SegPGD",
    "Uniform",
]
