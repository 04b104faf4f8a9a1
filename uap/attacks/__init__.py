"""Attacks on one image at a time."""

from uap.attacks.image_dependent import ImageAttack

__all__ = ["ImageAttack"]
