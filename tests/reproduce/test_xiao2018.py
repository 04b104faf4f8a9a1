"""The reproductions of Xiao et al.: their command lines and the values of the paper."""

import pytest

from uap import detect, transfer
from uap.attacks import named_attack
from uap.cli.data_arguments import settings_of_data
from uap.detectors import named_detectors
from uap.reporting.detector_tables import PAPER
from uap.reproduce import load
from uap.reproduction.trials import rows_of
from uap.victims.building import find_victim, find_wrapper


@pytest.mark.parametrize("name", ["table1", "figure3", "figure7"])
@pytest.mark.parametrize("on", [None, "camvid"])
def test_command_lines_are_valid(name: str, on: str | None) -> None:
    reproduction = load(f"xiao2018/{name}", on)
    for row in rows_of(reproduction, []):
        settings, words = settings_of_data(row.trial.words)
        given = detect.parse(words)
        assert given.data == ("StreetScenes" if on is None else "CamVid")
        assert any(word.startswith("--data.size") for word in settings) == (on is None)
        assert (given.weights is None) == (on is None)
        assert all(find_victim(network).stem == network for network in given.networks)
        assert all(find_wrapper(wrapper).stem == wrapper for wrapper in given.wrappers)
        assert all(named_attack(attack).name == attack for attack in given.attacks)
        titles = [title for detector in given.detectors for title in named_detectors(detector)]
        assert titles == given.detectors
        wrapped = [f"{given.networks[0]}, {wrapper}" for wrapper in given.wrappers]
        assert reproduction.labels.keys() >= {given.networks[0], *wrapped}


@pytest.mark.parametrize("on", [None, "streetscenes", "camvid"])
def test_figure_8_evaluates_each_attack_on_all_networks(on: str | None) -> None:
    reproduction = load("xiao2018/figure8", on)
    (row,) = rows_of(reproduction, [])
    _, words = settings_of_data(row.trial.words)
    given = transfer.parse(words)
    assert given.attacks == ["DAGPicture", "HoudiniPicture"]
    assert len(given.rows) == len(given.weights or given.rows) == (6 if on == "camvid" else 4)
    assert given.data == ("CamVid" if on == "camvid" else "StreetScenes")
    assert given.control
    names = [name.removeprefix("runs/").removesuffix(".yaml") for name in given.rows]
    assert reproduction.labels.keys() >= {*names, *(f"{name}, noise" for name in names)}


def test_table_1_has_the_values_of_the_paper() -> None:
    paper = load("xiao2018/table1", None).paper
    assert paper is not None
    found = {(row["attack"], row["attacked"], row["detector"]): row["scored/auc"] for row in paper.rows}
    assert found["HoudiniPicture", "the network", "scale 0.5"] == 99
    assert found["DAGPicture", "through the blur of 3 (paper)", "scale 3"] == 0
    assert found["HoudiniPure", "through the blur of 3 (paper)", "scale 3"] == 97
    assert found["DAGPure", "the network", "spatial 1"] == 91
    assert found["HoudiniPicture", "through the blur of 0.5 (paper)", "scale 0.5"] == 78
    assert found["HoudiniPure", "through the blur of 5 (paper)", "scale 5"] == 71
    assert found["DAGPure", "through 1 fixed patch (paper)", "spatial 1"] == 98
    assert len(found) == 2 * 7 * 4
    for row in paper.rows:
        if row["attacked"] == "the network":  # the page of uap detect has the same values
            title = row["detector"].replace("scale ", "ScaleConsistency:").replace("spatial ", "SpatialConsistency:")
            assert PAPER[row["attack"]][title] == row["scored/auc"]


@pytest.mark.parametrize("name", ["table1", "figure7"])
@pytest.mark.parametrize("on", [None, "camvid"])
def test_values_of_the_paper_are_those_of_rows_that_are_made(name: str, on: str | None) -> None:
    reproduction = load(f"xiao2018/{name}", on)
    assert reproduction.metrics.keys() >= {"scored/auc", "scored/success_rate"}
    labels = set(reproduction.labels.values())
    assert reproduction.paper is not None
    assert all({row["attacked"], row["detector"]} <= labels for row in reproduction.paper.rows)
