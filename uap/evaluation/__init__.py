"""Evaluation of attacks and perturbations on any network and images."""

from uap.evaluation.evaluate import Result, evaluate
from uap.evaluation.transferred import Transferred

__all__ = ["Result", "Transferred", "evaluate"]
