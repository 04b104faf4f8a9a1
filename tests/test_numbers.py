"""Tests of the check of numbers, and of the constructors that use it."""

import inspect
import math
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import uap.attacks
import uap.defenses
import uap.detectors
import uap.objectives
import uap.victims
from tests.helpers import refuses
from uap.attacks import DAG, FGSM
from uap.detectors import KnownPattern, SpatialConsistency, self_entropy
from uap.utils.errors import InputError, Kind
from uap.utils.numbers import check_number
from uap.victims import Patched, Victim

NO_NUMBERS = ["a", math.nan, math.inf, -math.inf, True, [1], (), {}, 1j, torch.ones(2)]


def parameters() -> list[tuple[type, str]]:
    """Return the classes of attacks, defenses and detectors, with each of their arguments that is a number."""
    modules: tuple[ModuleType, ...] = (uap.attacks, uap.defenses, uap.detectors)
    classes = [getattr(module, name) for module in modules for name in module.__all__]
    classes += [uap.objectives.Shape, uap.victims.CellDetector, uap.victims.FasterRCNN]
    return [
        (kind, parameter.name)
        for kind in classes
        if inspect.isclass(kind) and not inspect.isabstract(kind)
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.annotation in (int, float, int | None, float | None) and kind.__name__ != "Cost"
    ]


def built(kind: type, name: str, value: Any) -> Any:
    """Return an object with one argument given, and 1 for others without a default."""
    required = [
        parameter.name
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    return kind(**{**dict.fromkeys(required, 1), name: value})


@pytest.mark.parametrize(("kind", "name"), parameters())
def test_arguments_that_are_no_numbers_are_refused(kind: type, name: str) -> None:
    for value in NO_NUMBERS:
        with pytest.raises(InputError) as raised:
            built(kind, name, value)
        assert raised.value.kind in ("wrong_type", "not_finite"), value
        assert repr(value) in str(raised.value)
    if name != "seed":
        with pytest.raises(InputError):
            built(kind, name, -1)


def test_all_arguments_are_found() -> None:
    names = {(kind.__name__, name) for kind, name in parameters()}
    assert {
        ("SpatialConsistency", "size"),
        ("DAG", "tolerance"),
        ("GaussianNoise", "seed"),
        ("FGSM", "epsilon"),
    } < names


@pytest.mark.parametrize(
    ("value", "bounds", "kind"),
    [
        ("a", {}, "wrong_type"),
        (None, {}, "wrong_type"),
        (True, {}, "wrong_type"),
        (2.0, {"whole": True}, "wrong_type"),
        (math.nan, {}, "not_finite"),
        (math.inf, {}, "not_finite"),
        (0, {"low": 1}, "out_of_range"),
        (3, {"high": 2}, "out_of_range"),
        (0, {"above": 0}, "out_of_range"),
        (1, {"below": 1}, "out_of_range"),
    ],
)
def test_the_kind_of_a_fault(value: object, bounds: dict[str, Any], kind: Kind) -> None:
    with refuses("x", kind, "Thing got x="):
        check_number("Thing", "x", value, **bounds)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1), Fraction(1, 1), 10**400])
def test_numbers_of_any_type_are_accepted(value: object) -> None:
    check_number("Thing", "x", value, 1)


def test_integers_of_numpy_are_whole() -> None:
    check_number("Thing", "x", np.int64(3), whole=True)


def test_the_message_names_the_bounds_and_the_unit() -> None:
    with refuses("epsilon", "out_of_range", "a finite number of grey levels above 0 and up to 255."):
        FGSM(epsilon=300)
    with refuses("patches", "out_of_range", "a whole number from 1 to 10,000."):
        SpatialConsistency(0)


def test_patches_are_checked_wherever_they_are_used() -> None:
    network = nn.Conv2d(3, 2, 1)
    with refuses("patches", "wrong_type"):
        Patched(Victim(network, classes=["road", "sky"]), patches="a")  # type: ignore[arg-type]
    with refuses("size", "out_of_range"):
        self_entropy(network, torch.zeros(3, 8, 8), size=0)


@pytest.mark.parametrize("pattern", ["a", None, 1.0, torch.ones(3, 2, 2, dtype=torch.complex64)])
def test_a_pattern_that_is_no_tensor_of_numbers_is_refused(pattern: Any) -> None:
    with refuses("pattern", "wrong_type"):
        KnownPattern(pattern)


def test_a_form_without_a_confidence_is_refused() -> None:
    with refuses("confidence", "conflict", "authors"):
        DAG(confidence=0.8)
    with refuses("variant", "unknown_name"):
        DAG("other")  # type: ignore[arg-type]
