"""The reproduction of Kang et al.: its command lines, and the numbers of the paper."""

import pytest

from uap import transfer
from uap.attacks import named_attack
from uap.cli.data_arguments import settings_of_data
from uap.objectives import SwapClasses
from uap.reproduce import load
from uap.reproduction.trials import rows_of
from uap.victims.building import find_victim


@pytest.mark.parametrize("name", ["table1", "figure6"])
@pytest.mark.parametrize("on", [None, "camvid"])
def test_command_lines_are_valid(on: str | None, name: str) -> None:
    rows = rows_of(load(f"kang2020/{name}", on), [])
    assert [row.names["task"] for row in rows] == ["people to vegetation", "vehicles to road", "vehicles to building"]
    settings, words = settings_of_data(rows[0].trial.words)
    given = transfer.parse(words)
    assert given.images == 4
    assert (given.steps is None) == (name == "table1")
    assert given.data == ("StreetScenes" if on is None else "CamVid")
    assert any("data.size" in setting for setting in settings)
    assert [find_victim(name).stem for name in given.rows] == given.rows
    assert given.joint == ["+".join(given.rows)]
    assert len(given.weights or []) == (0 if on is None else 3)
    for name in given.attacks:
        assert isinstance(named_attack(name).objective(), SwapClasses)


def test_figure_6_shows_each_network_under_attacks_that_were_made_on_it() -> None:
    reproduction = load("kang2020/figure6", None)
    assert (reproduction.curves, reproduction.panels, reproduction.reduce) == ("step", "evaluated on", "task")
    assert {"made from": "ESPNet", "evaluated on": "Fast-SCNN"} in reproduction.omit
    assert not any(one["made from"] == "both" for one in reproduction.omit)


def test_the_papers_numbers_of_the_joint_attack() -> None:
    paper = load("kang2020/table1", None).paper
    assert paper is not None
    (row,) = (
        row
        for row in paper.rows
        if (row["attack"], row["made from"], row["evaluated on"]) == ("tanh, whole image", "both", "ESPNet")
    )
    assert row["float/swapped"] == 79.2
    assert row["float/source_kept"] == 7.8
    assert row["float/mean_change"] == 0.657
