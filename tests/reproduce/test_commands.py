"""Trials of the commands `transfer` and `attack`."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.reproduce.helpers import folders, reproduce, reproduction
from uap.universal.callbacks.pictures import Pictures
from uap.utils.errors import InputError

HIDE = {"model.objective": {"class_path": "uap.objectives.HideClasses", "init_args": {"hide": ["building"]}}}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the pictures, which take most of the time of a small run."""
    monkeypatch.setattr(Pictures, "_write", lambda *_: None)


def table() -> list[dict[str, str]]:
    with Path("out/table/table.csv").open() as file:
        return list(csv.DictReader(file))


WITHOUT_DATA = {"settings": {"data.root": "nowhere"}}
"""A value of an axis whose trials are refused when they run."""


def transfer(*epsilon: float, **others: dict[str, Any]) -> str:
    """Write a reproduction that evaluates perturbations of some epsilons, and of `others`, on two setups."""
    setups = {
        "threshold 100": {"settings": {"model.victim.network.threshold": 100}},
        "test images": {"settings": {"data.split": "test"}},
    }
    values = {str(value): {"settings": {"model.epsilon": value}} for value in epsilon}
    axes = {"epsilon": values | others, "evaluated on": setups}
    runs = [{"command": "transfer", "axes": ["epsilon", "evaluated on"], "evaluate_on": "evaluated on"}]
    metrics = {"scored/success_rate": "success", "control/success_rate": "random signs", "scored/miou_clean": "IoU"}
    return reproduction(axes=axes, runs=runs, metrics=metrics)


@pytest.mark.slow
def test_a_perturbation_is_scored_on_other_networks_and_images(capsys: pytest.CaptureFixture[str]) -> None:
    reproduce(transfer(80))

    # the source is learned once, though no metric of it is in the table
    assert "trial 1 of 3, epsilon 80" in capsys.readouterr().out
    cells = [json.loads(path.read_text())["cells"] for path in Path("out/trials").rglob("transfer.json")]
    assert len(cells) == 2
    measured = {round(100 * own[0]["metrics"]["success_rate"], 4) for own in cells}
    control = {round(100 * own[1]["metrics"]["success_rate"], 4) for own in cells}
    assert {float(row["scored/success_rate"]) for row in table()} == measured
    assert {float(row["control/success_rate"]) for row in table()} == control
    assert [row["evaluated on"] for row in table()] == ["threshold 100", "test images"]


@pytest.mark.slow
def test_a_transfer_of_a_perturbation_that_was_refused_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    name = transfer(80, unreadable=WITHOUT_DATA)
    with pytest.raises(InputError, match=r"epsilon unreadable: .*nowhere"):
        reproduce(name)
    printed = capsys.readouterr().out
    assert "epsilon unreadable, evaluated on test images waits for the perturbation of epsilon unreadable" in printed
    assert [bool(row["scored/success_rate"]) for row in table()] == [True, True, False, False]


@pytest.mark.slow
def test_a_transfer_goes_with_its_perturbation() -> None:
    name = transfer(80, 40)
    for shard in ("1/2", "2/2"):
        reproduce(name, "--shard", shard)
    assert all(row["scored/success_rate"] for row in table())


def test_image_dependent_perturbations_are_a_row_of_the_table() -> None:
    runs = [
        {"settings": HIDE},
        {
            "command": "attack", "axes": [], "settings": HIDE, "names": {"tile": "none, for each image"},
            "arguments": {"steps": 50, "images": 2},
        },
    ]  # fmt: skip
    axes = {"tile": {"setting": "model.tile", "values": [[8, 8]]}}
    metrics = {"scored/hidden": "hidden", "scored/preserved": "preserved"}
    reproduce(reproduction(axes=axes, runs=runs, metrics=metrics, curves="tile"), "--attack.steps", "3")

    (ceiling,) = [folder for folder in folders() if folder.name.startswith("attack-hideclasses-")]
    found = json.loads((ceiling / "metrics.json").read_text())
    assert found["gradient_evaluations"] == 6
    (grid, alone) = table()
    assert grid["tile"] == "8 x 8"
    assert alone["tile"] == "none, for each image"
    assert float(alone["scored/hidden"]) == pytest.approx(100 * found["val/hidden"], abs=1e-4)
