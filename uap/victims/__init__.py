"""Victims, the networks under attack: an adapter for any torch module, and adapters for networks of libraries."""

from uap.victims.adapters.exported import Exported
from uap.victims.adapters.huggingface import HuggingFace
from uap.victims.adapters.smp import SegmentationModels
from uap.victims.adapters.torchvision import Torchvision
from uap.victims.cell_detector import CellDetector
from uap.victims.defended import Defended
from uap.victims.dense_crf import DenseCRF
from uap.victims.detection import FasterRCNN
from uap.victims.ensemble import Ensemble
from uap.victims.multiscale import Multiscale
from uap.victims.side_by_side import SideBySide
from uap.victims.victim import Victim
from uap.victims.views import AlsoBlurred, Patched

__all__ = [
    "AlsoBlurred",
    "CellDetector",
    "Defended",
    "DenseCRF",
    "Ensemble",
    "Exported",
    "FasterRCNN",
    "HuggingFace",
    "Multiscale",
    "Patched",
    "SegmentationModels",
    "SideBySide",
    "Torchvision",
    "Victim",
]
