"""The table of named attacks: an algorithm and an objective, as papers name the two together.

Commands look attacks up here. Adding an attack is one file in `uap/attacks/` and one row here.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
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
    HideClasses,
    LeastLikely,
    Objective,
    Picture,
    PureClass,
    RandomClasses,
    Shape,
    SwapClasses,
    Untargeted,
)
from uap.objectives.shape import Form
from uap.utils.errors import InputError
from uap.utils.numbers import check_number


@dataclass(frozen=True)
class NamedAttack:
    """An attack and the objective that it is used with.

    Attributes:
        name: on command lines and in tables.
        algorithm: returns the attack, with `epsilon` as a keyword if it has such a bound, and `steps` if their number
            can be set.
        objective: returns the objective.
        definition: in a line, with the source.
        own_epsilon: the epsilon of an attack that a user names no epsilon for, in the place of a command's default;
            None for attacks that take the command's default.

    Example:
        >>> attack, objective = ATTACKS["FGSMII"].build(8), ATTACKS["FGSMII"].objective()
        >>> attack.epsilon, type(objective).__name__
        (8, 'LeastLikely')
    """

    name: str
    algorithm: Callable[..., Attack]
    objective: Callable[[], Objective]
    definition: str
    own_epsilon: float | None = None

    def __post_init__(self) -> None:
        """Check the epsilon."""
        if self.own_epsilon is not None:
            check_number("NamedAttack", "own_epsilon", self.own_epsilon, above=0, unit="grey levels")

    @property
    def has_epsilon(self) -> bool:
        """Whether the attack is bounded by an epsilon."""
        return "epsilon" in inspect.signature(self.algorithm).parameters

    def bounds(self, epsilons: Sequence[float], chosen: bool) -> Sequence[float | None]:
        """Return the epsilons of the attack, by epsilons that a user chose, or else those of a command.

        Example:
            >>> ATTACKS["HoudiniPure"].bounds([8.0], chosen=False), ATTACKS["DAG"].bounds([8.0], chosen=True)
            ([32.0], [None])
        """
        if not self.has_epsilon:
            return [None]
        return epsilons if chosen or self.own_epsilon is None else [self.own_epsilon]

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
        bound = self.own_epsilon if epsilon is None else epsilon
        given = {"epsilon": bound if self.has_epsilon else None, "steps": steps}
        return self.algorithm(**{name: value for name, value in given.items() if value is not None})


_ARNAB = "Arnab et al., CVPR 2018, sec. 2, arXiv 1711.09856"
_KANG = "Kang et al., IEEE Access 2020"
_XIE = "Xie et al., ICCV 2017, arXiv 1703.08603"
_XIAO = "Xiao et al., ECCV 2018, sec. 5.1, arXiv 1810.05162"
_XIAO_MORE = "Xiao et al., ECCV 2018, supplement, arXiv 1810.05162"
_PEOPLE, _VEHICLES = ("person", "rider", "motorcycle", "bicycle"), ("car", "truck", "bus", "train")
_KANG_TASKS = {
    "People": ("people to vegetation", dict.fromkeys(_PEOPLE, "vegetation")),
    "Road": ("vehicles to road", dict.fromkeys(_VEHICLES, "road")),
    "Building": ("vehicles to building", dict.fromkeys(_VEHICLES, "building")),
}


def dense_steps() -> DAG:
    """Return DAG in the authors' form, with large steps, until 98 % of a target without any of the scene is reached."""
    return DAG(variant="authors", gamma=30.0, tolerance=0.02, clamp=True)


def houdini_steps(epsilon: float) -> SignSteps:
    """Return steps of a sixteenth of epsilon on the loss of Houdini; Xiao et al. name neither steps nor a bound."""
    return SignSteps(epsilon=epsilon, alpha=epsilon / 16, steps=60, loss=Houdini(), momentum=0.9)


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

_XIE_SHAPES: dict[str, Form] = {"Shape": "circle", "Square": "square", "Diamond": "diamond", "Strip": "strip"}

_OF_SHAPES = (
    NamedAttack(
        f"DAG{name}",
        partial(DAG, variant="authors"),
        partial(Shape, form),
        f"steps towards a {form} of an absent class, the form of the authors' code ({_XIE})",
    )
    for name, form in _XIE_SHAPES.items()
)

_XIAO_TARGETS: dict[str, tuple[Callable[[], Objective], str]] = {
    "Pure": (PureClass, f"one class everywhere ({_XIAO})"),
    "Picture": (Picture, f"a face in random classes ({_XIAO})"),
    "Text": (partial(Picture, "text"), f"a word in random classes ({_XIAO_MORE})"),
    "Stripes": (partial(Picture, "strips"), f"vertical strips of random classes over the whole image ({_XIAO_MORE})"),
    "Carless": (
        partial(HideClasses, ["car"]),
        "the image's scene without cars (after Xiao et al., who take a real one)",
    ),
}

_OF_XIAO = (
    NamedAttack(f"{name}{target}", algorithm, objective, f"{how} towards {what}", epsilon)
    for name, algorithm, how, epsilon in (
        ("DAG", dense_steps, "dense steps", None),
        ("Houdini", houdini_steps, "Houdini", 32.0),
    )
    for target, (objective, what) in _XIAO_TARGETS.items()
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
    *_OF_SHAPES,
    *_OF_KANG,
    *_OF_XIAO,
)

ATTACKS = {row.name: row for row in _ROWS}
"""All named attacks by name."""


def listed(names: Iterable[str] = ATTACKS) -> str:
    """Return the names in a line; names that follow each other and differ in their last word share braces.

    Example:
        >>> listed(["FGSM", "DAG", "DAGPure", "DAGText"])
        'FGSM, DAG, DAG{Pure,Text}'
    """
    words = [re.fullmatch(r"(.*?)((?<=[A-Za-z])[A-Z][a-z]+)?", name) for name in names]
    parts = [(found[1], found[2] or "") for found in words if found]
    texts = []
    for (start, has_ending), group in groupby(parts, lambda part: (part[0], bool(part[1]))):
        endings = [ending for _, ending in group]
        braces = has_ending and len(endings) > 1
        texts += [f"{start}{{{','.join(endings)}}}"] if braces else [start + ending for ending in endings]
    return ", ".join(texts)


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
            f"There is no attack {name}. The attacks are {listed()}.", setting="attack", kind="unknown_name"
        )
    return ATTACKS[name]
