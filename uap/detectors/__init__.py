"""Detectors of adversarial images, one file each."""

from uap.detectors.base import Detector
from uap.detectors.known_pattern import KnownPattern
from uap.detectors.names import DETECTORS, NamedDetector, named_detectors
from uap.detectors.scale_consistency import ScaleConsistency
from uap.detectors.self_entropy import self_entropy
from uap.detectors.spatial_consistency import SpatialConsistency
from uap.detectors.tile_period import TilePeriod
from uap.detectors.uncertainty import Uncertainty

__all__ = [
    "DETECTORS",
    "Detector",
    "KnownPattern",
    "NamedDetector",
    "ScaleConsistency",
    "SpatialConsistency",
    "TilePeriod",
    "Uncertainty",
    "named_detectors",
    "self_entropy",
]
