"""Losses at the locations of a prediction, and reductions to one number for each image."""

from uap.losses.base import Loss
from uap.losses.cospgd import CosPGD
from uap.losses.cross_entropy import CrossEntropy
from uap.losses.feature_dispersion import FeatureDispersion
from uap.losses.feature_loss import FeatureLoss
from uap.losses.feature_similarity import FeatureSimilarity
from uap.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from uap.losses.houdini import Houdini
from uap.losses.jensen_shannon import JensenShannon
from uap.losses.margin import Margin
from uap.losses.reductions import Balanced, Mean, Omega, Reduction, default_reduction
from uap.losses.segpgd import SegPGD

__all__ = [
    "Balanced",
    "CosPGD",
    "CrossEntropy",
    "FeatureDispersion",
    "FeatureLoss",
    "FeatureSimilarity",
    "GeneralizedCrossEntropy",
    "Houdini",
    "JensenShannon",
    "Loss",
    "Margin",
    "Mean",
    "Omega",
    "Reduction",
    "SegPGD",
    "default_reduction",
]
