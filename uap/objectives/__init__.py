"""Objectives: what an attacker wants, made from the network's own clean prediction."""

from uap.objectives.base import Goal, Objective, PredictionObjective
from uap.objectives.box_classes import BoxClasses
from uap.objectives.hide_classes import HideClasses
from uap.objectives.joint_targets import JointTargets
from uap.objectives.least_likely import LeastLikely
from uap.objectives.picture import Picture
from uap.objectives.pure_class import PureClass
from uap.objectives.random_classes import RandomClasses
from uap.objectives.shape import Shape
from uap.objectives.side_by_side import SideBySideTargets
from uap.objectives.static_target import StaticTarget
from uap.objectives.swap_classes import SwapClasses
from uap.objectives.untargeted import Untargeted

__all__ = [
    "BoxClasses",
    "Goal",
    "HideClasses",
    "JointTargets",
    "LeastLikely",
    "Objective",
    "Picture",
    "PredictionObjective",
    "PureClass",
    "RandomClasses",
    "Shape",
    "SideBySideTargets",
    "StaticTarget",
    "SwapClasses",
    "Untargeted",
]
