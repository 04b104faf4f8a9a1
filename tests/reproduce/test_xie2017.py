"""The reproductions of Xie et al.: their command lines, and the networks of `configs/detection`."""

from pathlib import Path

import pytest
from safetensors.torch import save_file

from uap import boxes, robustness, transfer
from uap.attacks import named_attack
from uap.cli.data_arguments import settings_of_data
from uap.configuration.composition import read_settings
from uap.evaluation.detection_networks import build_detection, find_detection
from uap.networks import FastestDet
from uap.networks.small_faster_rcnn import SmallFasterRCNN
from uap.reproduce import load, with_options
from uap.reproduction.trials import rows_of
from uap.victims.building import find_victim

NAMES = ("segmentation", "detection", "tasks", "convergence")
PARSERS = {"robustness": robustness.parse, "transfer": transfer.parse, "boxes": boxes.parse}


@pytest.mark.parametrize("name", ["faster_rcnn_streetscenes", "fastestdet_coco"])
def test_detection_configurations_describe_a_network(name: str, tmp_path: Path) -> None:
    path = find_detection(name)
    assert path is not None
    settings = read_settings(path)["model"]["victim"]["init_args"]
    count = settings["network"]["init_args"]["classes"]
    assert len(settings["classes"]) == len(set(settings["classes"])) == count
    network = SmallFasterRCNN(count) if name.startswith("faster") else FastestDet(count)
    save_file(network.state_dict(), tmp_path / "random.safetensors")
    victim = build_detection(name, str(tmp_path / "random.safetensors"))
    assert victim.background == (0 if name.startswith("faster") else None)


@pytest.mark.parametrize("on", [None, "camvid"])
@pytest.mark.parametrize("name", NAMES)
def test_command_lines_are_valid(name: str, on: str | None) -> None:
    for row in rows_of(load(f"xie2017/{name}", on), []):
        _, words = settings_of_data(row.trial.words)
        given = PARSERS[row.trial.command](words)
        assert given.data == ("StreetScenes" if on is None else "CamVid")
        networks = getattr(given, "rows", None) or getattr(given, "networks", None) or [given.network]
        networks = [*networks, *(getattr(given, "evaluate_on", None) or [])]
        for network in networks:
            assert (find_detection(network) or find_victim(network)).stem == network
        weights = given.weights if isinstance(given.weights, list) else [given.weights] * (given.weights is not None)
        assert len(weights) == (0 if on is None else len(networks))
        if name == "convergence":
            assert [named_attack(attack).name for attack in given.attacks] == ["DAGObjects", "DAG"]
        elif row.trial.command == "transfer":
            assert given.sums is not None
            assert all(part in networks for total in given.sums for part in total.split("+"))


@pytest.mark.parametrize("on", [None, "camvid"])
@pytest.mark.parametrize("name", NAMES)
def test_arguments_of_commands_are_options(name: str, on: str | None) -> None:
    (one,), left = with_options([load(f"xie2017/{name}", on)], [])
    assert one.runs == load(f"xie2017/{name}", on).runs
    assert left == []


def test_arguments_that_are_empty_by_default_can_be_given() -> None:
    (one,), _ = with_options([load("xie2017/tasks", None)], ["--transfer.sums", "a+b", "--transfer.images", "1"])
    assert one.runs[0].arguments == {"images": 1, "sums": ["a+b"]}


def test_the_papers_white_box_detection_numbers() -> None:
    paper = load("xie2017/detection", None).paper
    assert paper is not None
    assert {row["detector"]: row["scored/map_adversarial"] for row in paper.rows}["FR-VGG-07"] == 5.92
