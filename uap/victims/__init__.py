"""The networks under attack: one adapter around any torch module, and one network per file."""

from uap.victims.adapter import FrozenVictim
from uap.victims.cgnet import CGNet
from uap.victims.drn import DRND22
from uap.victims.enet import ENet
from uap.victims.espnet import ESPNet
from uap.victims.exported import Exported
from uap.victims.fast_scnn import FastSCNN
from uap.victims.fcn8s import FCN8s
from uap.victims.hugging_face import HuggingFace
from uap.victims.segmentation_models import SegmentationModels
from uap.victims.torchvision_models import Torchvision

__all__ = [
    "DRND22",
    "CGNet",
    "ENet",
    "ESPNet",
    "Exported",
    "FCN8s",
    "FastSCNN",
    "FrozenVictim",
    "HuggingFace",
    "SegmentationModels",
    "Torchvision",
]
