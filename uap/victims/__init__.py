"""The networks under attack: one adapter around any torch module, and one network per file."""

from uap.victims.adapter import FrozenVictim
from uap.victims.espnet import ESPNet

__all__ = ["ESPNet", "FrozenVictim"]
