"""Tests that every public class and function of the core has an example, and that pytest runs it."""

import inspect
from pathlib import Path

import pytest

import uap
from uap import attacks, datasets, defenses, detectors, evaluation, losses, networks, objectives
from uap.metrics import perceptibility

ROOT = Path(__file__).parents[1]


def public() -> list[object]:
    """Return the public classes and functions of the core."""
    found = [getattr(uap, name) for name in uap.__all__]
    for package in (attacks, datasets, defenses, detectors, evaluation, losses, networks, objectives):
        found += [getattr(package, name) for name in package.__all__]
    found += [
        item for item in vars(perceptibility).values() if getattr(item, "__module__", "") == perceptibility.__name__
    ]
    return [item for item in found if inspect.isclass(item) or inspect.isfunction(item)]


def test_public_classes_and_functions_have_an_example() -> None:
    assert [item for item in public() if ">>> " not in (inspect.getdoc(item) or "")] == []


def test_pytest_runs_every_example(pytestconfig: pytest.Config) -> None:
    collected = [ROOT / path for path in pytestconfig.getini("testpaths")]
    assert all(path.exists() for path in collected)
    with_examples = [path for path in (ROOT / "uap").rglob("*.py") if ">>> " in path.read_text()]
    assert [path for path in with_examples if not {path, *path.parents} & set(collected)] == []
