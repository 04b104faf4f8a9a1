"""Detectors of adversarial images, one file each."""

from uap.detectors.base import Detector
from uap.detectors.spatial_consistency import SpatialConsistency

__all__ = ["Detector", "SpatialConsistency"]
