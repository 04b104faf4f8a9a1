"""`uap boxes` and `uap train_boxes` from the command line to their files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.helpers import refuses, save
from uap import boxes, train_boxes
from uap.evaluation.detection_networks import find_detection
from uap.networks.fastestdet import FastestDet
from uap.networks.small_faster_rcnn import SmallFasterRCNN
from uap.utils.errors import InputError
from uap.victims import CellDetector

DATA = ["--data", "ImageFolder", "--data.size", "[64,64]", "--data.num_workers", "0"]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Return the command line for a network of random weights on two pictures."""
    rng = np.random.default_rng(0)
    for name in "ab":
        save(tmp_path / "photos" / f"{name}.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    torch.manual_seed(0)
    network = FastestDet(3)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    settings = {
        "network": {"class_path": "uap.networks.FastestDet", "init_args": {"classes": 3}},
        "weights": str(tmp_path / "weights.safetensors"),
        "classes": ["person", "car", "bus"],
        "input_size": [64, 64],
    }
    victim = {"class_path": "uap.victims.CellDetector", "init_args": settings}
    (tmp_path / "cells.yaml").write_text(yaml.safe_dump({"model": {"victim": victim}}))
    out = str(tmp_path / "out")
    return [str(tmp_path / "cells.yaml"), *DATA, "--data.root", str(tmp_path / "photos"), "--out", out, "--quiet"]


def test_boxes_are_attacked_and_written(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = boxes.main([*words, "--steps", "40", "--gamma", "4", "--pictures", "1"])
    row = json.loads((out / "boxes.json").read_text())["cells"][0]["metrics"]
    assert row["map_clean"] == 1.0  # the network's own detections are the objects
    assert row["map_adversarial"] < 1.0
    assert row["kept"] < 1.0
    assert len((out / "boxes.csv").read_text().splitlines()) == 1 + row["images"]
    assert len(list((out / "pictures").iterdir())) == 1
    assert "mAP clean" in capsys.readouterr().out
    with pytest.raises(InputError):  # other settings do not replace the results
        boxes.main([*words, "--steps", "2"])


def test_results_of_other_weights_or_images_are_not_replaced(tmp_path: Path, words: list[str]) -> None:
    words = [*words, "--steps", "2", "--gamma", "4", "--pictures", "0"]
    written = (boxes.main(words) / "boxes.json").read_text()
    weights = load_file(tmp_path / "weights.safetensors")
    save_file({name: 1.5 * value for name, value in weights.items()}, tmp_path / "other.safetensors")
    shutil.copytree(tmp_path / "photos", tmp_path / "copies")
    for change in (["--weights", str(tmp_path / "other.safetensors")], ["--data.root", str(tmp_path / "copies")]):
        with refuses(None, "conflict"):
            boxes.main([*words, *change])
    assert (boxes.main(words) / "boxes.json").read_text() == written


def test_unknown_networks_and_missing_weights_are_refused(words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        boxes.main(["yolo", *words[1:]])
    assert error.value.kind == "unknown_name"
    with pytest.raises(InputError) as error:
        boxes.main(["fastestdet_coco", *words[1:]])
    assert error.value.setting == "model.victim.weights"


class OwnDetector(CellDetector):
    """A detection network of a user."""


def test_any_class_of_detection_networks_is_found_by_its_configuration(tmp_path: Path, words: list[str]) -> None:
    settings = yaml.safe_load(Path(words[0]).read_text())
    for name, expected in (
        (f"{__name__}.OwnDetector", True),
        ("CellDetector", True),
        ("uap.victims.Victim", False),
        ("missing.Network", False),
    ):
        settings["model"]["victim"]["class_path"] = name
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings))
        assert (find_detection(str(tmp_path / "own.yaml")) is not None) == expected


def test_confidence_belongs_to_the_authors_form(words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        boxes.main([*words, "--confidence", "0.8"])
    assert error.value.setting == "confidence"


def test_images_without_an_object_are_refused(words: list[str]) -> None:
    settings = yaml.safe_load(Path(words[0]).read_text())
    settings["model"]["victim"]["init_args"]["score"] = 0.99
    Path(words[0]).write_text(yaml.safe_dump(settings))
    with pytest.raises(InputError) as error:
        boxes.main(words)
    assert error.value.setting == "data"


@pytest.mark.slow
def test_a_network_is_trained_on_exact_boxes(tmp_path: Path) -> None:
    words = ["--scenes", "4", "--scored-scenes", "2", "--epochs", "1", "--quiet"]
    out = train_boxes.main([*words, "--root", str(tmp_path / "scenes"), "--out", str(tmp_path / "out")])
    card = json.loads((out / "victim.json").read_text())
    assert 0 <= card["map"] <= 1
    assert set(load_file(out / "victim.safetensors")) == set(SmallFasterRCNN(6).state_dict())
