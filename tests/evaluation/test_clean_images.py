"""Tests that a grid of attacks predicts clean images once."""

import json
from pathlib import Path

import pytest
from torch import Tensor

from tests.evaluation.test_robustness import network, root, run  # noqa: F401  # `root` is a fixture
from uap.victims import Victim


def images_seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of the number of images of each forward pass from now on."""
    seen: list[int] = []
    forward = Victim.forward

    def counted(self: Victim, images: Tensor) -> Tensor:
        seen.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Victim, "forward", counted)
    return seen


def test_clean_images_are_predicted_once_for_all_epsilons(
    root: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    victim = network("plain")
    seen = images_seen(monkeypatch)
    run(root, [victim], ["FGSM"], [40])
    one = sum(seen)
    seen.clear()
    run(root, [victim], ["FGSM"], [2, 4, 8, 16], "--out", "more")
    again = sum(seen)
    seen.clear()
    run(root, [victim], ["FGSM"], [3], "--out", "same")
    check = sum(seen) - 4 * 4  # of the network at the start: a gradient, float, 8-bit and clean certainty of 4 images
    # the first run predicts 4 clean images too; each cell is a gradient, float and 8-bit images
    assert one - check == 5 * 4
    assert again - check == (4 * 3 + 1) * 4


def test_certainty_of_clean_images_is_that_of_the_network(root: Path) -> None:  # noqa: F811
    out = run(root, [network("plain")], ["FGSM"], [40])
    (cell,) = json.loads((out / "robustness.json").read_text())["cells"]
    for form in ("float", "8-bit"):
        assert 0 <= cell["metrics"][form]["confidence_clean"] <= 1
    assert cell["metrics"]["float"]["entropy_clean"] == cell["metrics"]["8-bit"]["entropy_clean"]
    assert cell["metrics"]["float"]["confidence"] >= 0.5  # of two classes
