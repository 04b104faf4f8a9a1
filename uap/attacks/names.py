"""The table of named attacks: an algorithm and an objective, as papers name the two together.

Commands look attacks up here. Adding an attack is one file in `uap/attacks/` and one row here.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from uap.attacks.base import Attack
from uap.attacks.dag import DAG
from uap.attacks.fgsm import FGSM, IterativeFGSM
from uap.attacks.random_signs import RandomSigns
from uap.attacks.sign_steps import SignSteps
from uap.attacks.source_sign_steps import SourceSignSteps
from uap.attacks.tanh_affine import TanhAffine
from uap.losses import Houdini
from uap.objectives import (
    LeastLikely,
    Objective,
    Picture,
    PureClass,
    RandomClasses,
    Shape,
    SwapClasses,
    Untargeted,
)
from uap.utils.errors import InputError


@dataclass(frozen=True)
class NamedAttack:
    """An attack and the objective that it is used with.

    Attributes:
        name: on command lines and in tables.
        algorithm: returns the attack, with `epsilon` as a keyword if it has such a bound, and `steps` if their number
            can be set.
        objective: returns the objective.
        definition: in a line, with the source.

    Example:
        >>> attack, objective = ATTACKS["FGSMII"].build(8), ATTACKS["FGSMII"].objective()
        >>> attack.epsilon, type(objective).__name__
        (8, 'LeastLikely')
    """

    name: str
    algorithm: Callable[..., Attack]
    objective: Callable[[], Objective]
    definition: str

    @property
    def has_epsilon(self) -> bool:
        """Whether the attack is bounded by an epsilon."""
        return "epsilon" in inspect.signature(self.algorithm).parameters

    def build(self, epsilon: float | None = None, steps: int | None = None) -> Attack:
        """Return the attack.

        Args:
            epsilon: the largest change of a pixel value in grey levels; None for the attack's default. An attack
                without such a bound ignores it.
            steps: the number of steps; None for the attack's default.

        Raises:
            InputError: a value is out of range, or the number of steps is fixed.

        Example:
            >>> ATTACKS["FGSM"].build(2).epsilon, ATTACKS["DAG"].build(2).epsilon
            (2, None)
        """
        if steps is not None and "steps" not in inspect.signature(self.algorithm).parameters:
            raise InputError(
                f"{self.name} has a fixed number of steps, but got {steps}. Leave --steps out for this attack.",
                setting="steps",
                kind="not_supported",
            )
        given = {"epsilon": epsilon if self.has_epsilon else None, "steps": steps}
        return self.algorithm(**{name: value for name, value in given.items() if value is not None})


_ARNAB = "Arnab et al., CVPR 2018, sec. 2, arXiv 1711.09856"
_KANG = "Kang et al., IEEE Access 2020"
_XIE = "Xie et al., ICCV 2017, arXiv 1703.08603"
_XIAO = "Xiao et al., ECCV 2018, sec. 5.1, arXiv 1810.05162"
_PEOPLE, _VEHICLES = ("person", "rider", "motorcycle", "bicycle"), ("car", "truck", "bus", "train")
_KANG_TASKS = {
    "People": ("people to vegetation", dict.fromkeys(_PEOPLE, "vegetation")),
    "Road": ("vehicles to road", dict.fromkeys(_VEHICLES, "road")),
    "Building": ("vehicles to building", dict.fromkeys(_VEHICLES, "building")),
}


def dense_steps() -> DAG:
    """Return DAG in the authors' form, with large steps, until 98 % of a target without any of the scene is reached."""
    return DAG(variant="authors", gamma=30.0, tolerance=0.02, clamp=True)


def houdini_steps() -> SignSteps:
    """Return sign steps with momentum on the loss of Houdini; Xiao et al. name no steps and no bound."""
    return SignSteps(epsilon=32.0, alpha=2.0, steps=60, loss=Houdini(), momentum=0.9)


def tanh_affine(steps: int = 50, local: bool = False, form: Literal["inverse", "printed"] = "inverse") -> TanhAffine:
    """Return the attack of Kang et al., which has no epsilon."""
    return TanhAffine(steps=steps, local=local, form=form)


def bounded_tanh_affine(epsilon: float = 2.0, steps: int = 50) -> TanhAffine:
    """Return the attack of Kang et al. within epsilon, which takes the place of the penalty."""
    return TanhAffine(steps=steps, penalty=0.0, epsilon=epsilon)


def fifty_steps(epsilon: float = 2.0, steps: int = 50) -> SignSteps:
    """Return sign steps of a twentieth of epsilon, the baseline of Kang et al., who name neither step nor bound."""
    return SignSteps(epsilon=epsilon, alpha=epsilon / 20, steps=steps)


def fifty_local_steps(epsilon: float = 2.0, steps: int = 50) -> SourceSignSteps:
    """Return the same steps in the region of the source classes alone."""
    return SourceSignSteps(epsilon=epsilon, alpha=epsilon / 20, steps=steps)


_OF_KANG = (
    NamedAttack(f"{name}{task}", algorithm, partial(SwapClasses, swap), f"{how}, {title} ({_KANG})")
    for name, algorithm, how in (
        ("TanhAffine", tanh_affine, "tanh of a learned scale and offset of each value"),
        ("TanhAffineLocal", partial(tanh_affine, local=True), "the same, in the region of the source classes alone"),
        ("TanhAffinePrinted", partial(tanh_affine, form="printed"), "the formula as it is printed"),
        ("TanhAffineBounded", bounded_tanh_affine, "tanh of a scale and offset within epsilon, without a penalty"),
        ("SignSteps", fifty_steps, "50 sign steps, the baseline"),
        ("SignStepsLocal", fifty_local_steps, "50 sign steps in the region of the source classes alone"),
    )
    for task, (title, swap) in _KANG_TASKS.items()
)

_ROWS = (
    NamedAttack("FGSM", FGSM, Untargeted, f"one step away from the clean prediction ({_ARNAB})"),
    NamedAttack("FGSMII", FGSM, LeastLikely, f"one step towards the least likely classes ({_ARNAB})"),
    NamedAttack("IterativeFGSM", IterativeFGSM, Untargeted, f"steps away from the clean prediction ({_ARNAB})"),
    NamedAttack("IterativeFGSMII", IterativeFGSM, LeastLikely, f"steps towards the least likely classes ({_ARNAB})"),
    NamedAttack("RandomSigns", RandomSigns, Untargeted, "the control: epsilon times a random sign of each value"),
    NamedAttack("DAG", DAG, RandomClasses, f"steps towards random classes, the paper's form ({_XIE})"),
    NamedAttack(
        "DAGObjects",
        DAG,
        partial(RandomClasses, "stuff"),
        f"steps that move objects to random classes and keep road, buildings and other background ({_XIE})",
    ),
    NamedAttack(
        "DAGShape",
        partial(DAG, variant="authors"),
        partial(Shape, "circle"),
        f"steps towards a circle of an absent class, the form of the authors' code ({_XIE})",
    ),
    *_OF_KANG,
    NamedAttack("DAGPure", dense_steps, PureClass, f"dense steps towards one class everywhere ({_XIAO})"),
    NamedAttack("DAGPicture", dense_steps, Picture, f"dense steps towards a face in random classes ({_XIAO})"),
    NamedAttack("HoudiniPure", houdini_steps, PureClass, f"Houdini towards one class everywhere ({_XIAO})"),
    NamedAttack("HoudiniPicture", houdini_steps, Picture, f"Houdini towards a face in random classes ({_XIAO})"),
)

ATTACKS = {row.name: row for row in _ROWS}
"""All named attacks by name."""


def named_attack(name: str) -> NamedAttack:
    """Return an attack by its name.

    Raises:
        InputError: there is none of that name.

    Example:
        >>> named_attack("FGSMII").objective()  # doctest: +ELLIPSIS
        <uap.objectives.least_likely.LeastLikely object at ...>
    """
    if name not in ATTACKS:
        raise InputError(
            f"There is no attack {name}. The attacks are {', '.join(ATTACKS)}.", setting="attack", kind="unknown_name"
        )
    return ATTACKS[name]
