"""The reproductions of Arnab et al.: their command lines, and small runs of a matrix and of curves with a dense CRF."""

import csv
from pathlib import Path

import pytest
import yaml

from tests.helpers import make_camvid
from tests.reproduce.helpers import BRIGHTNESS
from uap import reproduce, robustness, transfer
from uap.attacks import named_attack
from uap.cli.data_arguments import settings_of_data
from uap.reproduce import load
from uap.reproduction.reading import read_reproduction, run_on
from uap.reproduction.trials import rows_of
from uap.utils.errors import InputError
from uap.victims.building import find_victim, find_wrapper

NAMES = ("table1", "figure2", "figure3", "figure4a", "figure4b", "figure4c", "confidence", "imperceptible", "capacity")
PLANS = [(name, on) for name in NAMES for on in (None, "camvid", "voc") if (name, on) != ("figure3", "voc")]
PARSERS = {"robustness": robustness.parse, "transfer": transfer.parse}
DATA = {None: "StreetScenes", "camvid": "CamVid", "voc": "PascalVOC"}


@pytest.mark.parametrize("on", [None, "camvid", "camvid_20"])
def test_figure_2_of_arnab_attacks_the_networks_of_its_data(on: str | None) -> None:
    found = {row.names["network"]: row.trial.words for row in rows_of(load("arnab2018/figure2", on), [])}
    data = "StreetScenes" if on is None else "CamVid"
    dilated = ["Dilated front end", "Dilated with context"]
    shipped = ["ESPNet", "Fast-SCNN", "FCN-8s", "FCN-8s on ResNet", *dilated]
    assert list(found) == (shipped if on is None else ["ESPNet", "CGNet"])
    for words in found.values():
        assert f"--data={data}" in words
        assert ("--data.root=data/camvid" in words) is (on is not None)
        assert words[words.index("--epsilons") + 1 :][:8] == ["0.25", "0.5", "1.0", "2.0", "4.0", "8.0", "16.0", "32.0"]


@pytest.mark.parametrize(("name", "on"), PLANS)
def test_command_lines_are_valid(name: str, on: str | None) -> None:
    reproduction = load(f"arnab2018/{name}", on)
    for row in rows_of(reproduction, []):
        _, words = settings_of_data(row.trial.words)
        given = PARSERS[row.trial.command](words)
        assert given.data == DATA[on]
        networks = given.networks if row.trial.command == "robustness" else [*given.rows, *given.evaluate_on]
        assert all(find_victim(network).stem == network for network in networks)
        assert all(find_wrapper(wrapper).stem == wrapper for wrapper in given.wrappers)
        assert all(named_attack(attack).name == attack for attack in given.attacks)
        assert given.weights is None if on is None else len(given.weights) == len(networks)
        if reproduction.labels:
            wrapped = [f"{networks[0]}, {wrapper}" for wrapper in given.wrappers]
            assert reproduction.labels.keys() >= {networks[0], *wrapped}


def test_table_1_has_all_values_of_the_paper() -> None:
    paper = load("arnab2018/table1", None).paper
    assert paper is not None
    found = {(row["evaluated on"], row["attack"], row["made from"]): row["float/iou_ratio"] for row in paper.rows}
    assert len(found) == 7 * 2 * 4
    assert found["100 %", "FGSM", "50 %"] == 93.6
    assert found["50 %", "IterativeFGSMII", "100 %"] == 96.9
    assert found["FCN-8s (ResNet)", "IterativeFGSMII", "multiscale"] == 74.1


def test_other_data_that_change_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"streetscenes\.yaml .* arnab2018/figure3.* network for Cityscapes"):
        load("arnab2018/figure3", "streetscenes")


def networks(axis: str, *names: str) -> str:
    """Write the brightness network under some names, its data, and a file of `--on` for an axis; return that file."""
    for name in names:
        Path(f"{name}.yaml").write_text(BRIGHTNESS.read_text())
    make_camvid(Path("camvid"))
    settings = {"data": "CamVid", "data.root": "camvid", "data.size": [24, 32]}
    others = {"evaluate-on": [f"{name}.yaml" for name in names[1:]]} if len(names) > 1 else {}
    layer = {"words": [f"{names[0]}.yaml"], "settings": others | settings}
    Path("small.yaml").write_text(yaml.safe_dump({"title": "small images", "axes": {axis: {"small": layer}}}))
    return "small.yaml"


def rows(name: str) -> list[dict[str, str]]:
    with Path(f"out/arnab2018/{name}/{name}-small.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["trials"]]


@pytest.mark.slow
def test_table_1_is_a_matrix_of_scales_and_networks() -> None:
    on = networks("scales of", "espnet_camvid", "cgnet_camvid")
    reproduce.main(["arnab2018/table1", "--on", on, "--out", "out", "--transfer.images", "2"])
    scales = ["100 %", "50 %", "75 %", "multiscale"]
    found = [(row["attack"], row["made from"], row["evaluated on"]) for row in rows("table1")]
    attacks = ("FGSM", "IterativeFGSMII")
    assert set(found) == {(a, source, other) for a in attacks for source in scales for other in [*scales, "CGNet"]}
    assert len(found) == 2 * 4 * 5


def test_figures_4a_and_4b_show_different_cells_of_the_same_runs() -> None:
    on = networks("network", "espnet_camvid")
    for name in ("figure4a", "figure4b"):
        reproduce.main(["arnab2018/" + name, "--on", on, "--out", "out", "--robustness.images", "2", "--epsilons", "8"])
    assert len(list(Path("out/trials").iterdir())) == 1
    found = {name: {(row["attacked"], row["evaluated"]) for row in rows(name)} for name in ("figure4a", "figure4b")}
    assert found["figure4a"] == {("alone", "alone"), ("with CRF", "with CRF")}
    assert found["figure4b"] == {("alone", "with CRF"), ("with CRF", "with CRF")}


def test_an_omitted_cell_names_a_title_of_the_cells(tmp_path: Path) -> None:
    content = {"title": "t", "shows": "s", "metrics": {"float/iou_ratio": "IoU"}, "omit": [{"attacker": "alone"}]}
    run = {"command": "robustness", "cells": {"attacked": "made_from"}}
    file = tmp_path / "r.yaml"
    file.write_text(yaml.safe_dump({**content, "runs": [run]}))
    with pytest.raises(InputError, match="'attacker', but its cells are attacked"):
        read_reproduction(file, "r")


def test_words_of_an_axis_make_a_command_line() -> None:
    on = networks("scales of", "espnet_camvid", "cgnet_camvid")
    (row,) = rows_of(run_on(load("arnab2018/table1", None), Path(on)), [])
    assert row.trial.words[0] == "espnet_camvid.yaml"
    assert row.trial.config == {}
