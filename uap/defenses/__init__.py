"""Defenses: preprocessing of images, one file each."""

from uap.defenses.base import Defense, RandomDefense
from uap.defenses.bit_depth import BitDepth
from uap.defenses.blur import Blur
from uap.defenses.jpeg import Jpeg
from uap.defenses.noise import GaussianNoise
from uap.defenses.resize import RandomResize, Resize

__all__ = ["BitDepth", "Blur", "Defense", "GaussianNoise", "Jpeg", "RandomDefense", "RandomResize", "Resize"]
