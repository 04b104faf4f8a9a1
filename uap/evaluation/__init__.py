"""Evaluation of attacks and perturbations on any network and images."""

from uap.evaluation.evaluate import Result, evaluate

__all__ = ["Result", "evaluate"]
