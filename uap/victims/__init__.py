"""Victims, the networks under attack: an adapter for any torch module, and adapters for networks of libraries."""

from uap.victims.adapters.exported import Exported
from uap.victims.adapters.huggingface import HuggingFace
from uap.victims.adapters.smp import SegmentationModels
from uap.victims.adapters.torchvision import Torchvision
from uap.victims.victim import Victim

__all__ = ["Exported", "HuggingFace", "SegmentationModels", "Torchvision", "Victim"]
