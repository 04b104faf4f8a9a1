"""Points of the other doors: a score of a perturbation on something else, and perturbations for each image."""

import csv
import json
from pathlib import Path

import pytest

from tests.reproduce.helpers import folders, reproduce, reproduction
from uap.callbacks.pictures import Pictures

HIDE = {"model.target": {"class_path": "uap.targets.DynamicTarget", "init_args": {"hide": ["building"]}}}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a small run."""
    monkeypatch.setattr(Pictures, "_draw", lambda *_: None)


def table() -> list[dict[str, str]]:
    with Path("out/table/table.csv").open() as file:
        return list(csv.DictReader(file))


def transfer() -> str:
    onto = {
        "threshold 100": {"settings": {"model.victim.network.threshold": 100}},
        "test images": {"settings": {"data.split": "test"}},
    }
    axes = {"epsilon": {"setting": "model.epsilon", "values": [80]}, "onto": onto}
    runs = [{"door": "transfer", "axes": ["epsilon", "onto"], "onto": "onto"}]
    figures = {"scored/success_rate": "success", "control/success_rate": "random signs", "scored/miou_clean": "IoU"}
    return reproduction(axes=axes, runs=runs, figures=figures)


def test_a_perturbation_is_scored_on_other_networks_and_images(capsys: pytest.CaptureFixture[str]) -> None:
    reproduce(transfer())

    assert "point 1 of 3, epsilon 80" in capsys.readouterr().out  # learnt once, though nothing of it is tabulated
    cells = [json.loads(path.read_text())["cells"] for path in Path("out/points").rglob("transfer.json")]
    assert len(cells) == 2
    measured = {round(100 * own[0]["figures"]["success_rate"], 4) for own in cells}
    control = {round(100 * own[1]["figures"]["success_rate"], 4) for own in cells}
    assert {float(row["scored/success_rate"]) for row in table()} == measured
    assert {float(row["control/success_rate"]) for row in table()} == control
    assert [row["onto"] for row in table()] == ["threshold 100", "test images"]


def test_a_transfer_waits_for_the_perturbation_of_another_shard(capsys: pytest.CaptureFixture[str]) -> None:
    name = transfer()
    reproduce(name, "--shard", "2/2")
    assert "waits for the perturbation of epsilon 80" in capsys.readouterr().out
    reproduce(name, "--shard", "1/2")
    reproduce(name)
    assert all(row["scored/success_rate"] for row in table())


def test_the_ceiling_stands_beside_the_grid() -> None:
    runs = [
        {"settings": HIDE},
        {
            "door": "attack", "axes": [], "settings": HIDE, "names": {"tile": "none, for each image"},
            "arguments": {"steps": 50, "images": 2},
        },
    ]  # fmt: skip
    axes = {"tile": {"setting": "model.tile", "values": [[8, 8]]}}
    figures = {"scored/hidden": "hidden", "scored/preserved": "preserved"}
    reproduce(reproduction(axes=axes, runs=runs, figures=figures, curves="tile"), "--attack.steps", "3")

    (ceiling,) = [folder for folder in folders() if folder.name.startswith("attack-dynamic-")]
    found = json.loads((ceiling / "metrics.json").read_text())
    assert found["gradient_evaluations"] == 6
    (grid, alone) = table()
    assert grid["tile"] == "8 x 8"
    assert alone["tile"] == "none, for each image"
    assert float(alone["scored/hidden"]) == pytest.approx(100 * found["val/hidden"], abs=1e-4)
