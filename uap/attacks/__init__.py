"""Image-dependent attacks: each a class that maps a batch of images to adversarial images."""

from uap.attacks.base import Attack, Cost
from uap.attacks.dag import DAG
from uap.attacks.fgsm import FGSM, IterativeFGSM
from uap.attacks.names import ATTACKS, NamedAttack, listed, named_attack
from uap.attacks.random_signs import RandomSigns
from uap.attacks.sign_steps import SignSteps
from uap.attacks.source_sign_steps import SourceSignSteps
from uap.attacks.tanh_affine import TanhAffine

__all__ = [
    "ATTACKS",
    "DAG",
    "FGSM",
    "Attack",
    "Cost",
    "IterativeFGSM",
    "NamedAttack",
    "RandomSigns",
    "SignSteps",
    "SourceSignSteps",
    "TanhAffine",
    "listed",
    "named_attack",
]
