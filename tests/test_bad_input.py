"""Bad input from the user's side of the command line: one sentence, exit code 2, no traceback."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import attack_args, make_camvid, save
from uap import fit
from uap.cli import door
from uap.victims.espnet import ESPNet


class Hostile:
    """A pickle of it makes a folder when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def half_a_picture(root: Path) -> dict[str, Any]:
    path = root / "train" / "frame_003.png"
    path.write_bytes(path.read_bytes()[:200])
    return {}


def missing_labels(root: Path) -> dict[str, Any]:
    (root / "trainannot" / "frame_002.png").unlink()
    return {}


def foreign_ids(root: Path) -> dict[str, Any]:
    save(root / "valannot" / "frame_001.png", np.full((24, 32), 77, np.uint8))
    return {}


def hostile_weights(root: Path) -> dict[str, Any]:
    torch.save({"conv.weight": Hostile()}, root / "hostile.pth")
    return {"model.victim.weights": root / "hostile.pth"}


def foreign_weights(root: Path) -> dict[str, Any]:
    torch.save(ESPNet(5, q=1).state_dict(), root / "espnet.pth")
    return {"model.victim.weights": root / "espnet.pth"}


def odd_size(root: Path) -> dict[str, Any]:
    return {"model.victim.network": "uap.victims.ESPNet", "model.victim.network.classes": 11, "data.size": [20, 20]}


CASES: dict[str, tuple[Any, str]] = {
    "no data": ({"data.root": "nowhere"}, "No images in nowhere/train. Set --data.root"),
    "half-extracted labels": (missing_labels, "1 of 6 images .* have no labels .*frame_002.png"),
    "a truncated picture": (half_a_picture, "frame_003.png cannot be read as a picture .* truncated"),
    "a truncated picture, in a worker": (
        lambda root: half_a_picture(root) | {"data.num_workers": 1},
        "error: .*frame_003.png cannot be read as a picture",
    ),
    "ids outside the table": (foreign_ids, "frame_001.png holds the id 77, expected 0 to 11"),
    "a size that the network cannot take": (odd_size, "ESPNet fails on images of 20 x 20 .* victim.size_multiple"),
    "weights of another network": (foreign_weights, "another network than Brightness .* tensors are missing"),
    "weights that are code": (hostile_weights, "asks to run code .* was not loaded"),
    "no weights": ({"model.victim.weights": "none.pth"}, "There is no file none.pth"),
    "an unknown key": ({"model.epsilonn": 3}, "epsilonn"),
    "an epsilon below 0": ({"model.epsilon": -1}, "epsilon is -1.0, expected grey levels above 0"),
    "a word for a number": ({"model.epsilon": "much"}, "float"),
    "a step of 0": ({"model.optimizer.lr": 0}, "optimizer.lr is 0"),
    "a class that does not exist": (
        {"model.target": "uap.targets.DynamicTarget", "model.target.hide": ["unicorn"]},
        "no class 'unicorn': the classes are sky, building",
    ),
    "a class that is never predicted": (
        {
            "model.target": "uap.targets.DynamicTarget",
            "model.target.hide": ["building"],
            "model.victim.mean": [200] * 3,
        },
        "predicts building on none of the 6 images that are learnt from",
    ),
    "no such frame for the target": ({"model.target.image": "train/none.png"}, "train/none.png does not exist"),
    "a checkpoint that is not there": ({"ckpt_path": "none.ckpt"}, "There is no file none.ckpt"),
    "a configuration that is not there": ({"config": "none.yaml"}, "none.yaml"),
    "more images than there are": ({"data.limit": 99}, "data.limit is 99, but .* has 6 training images"),
    "no image in a batch": ({"data.batch_size": 0}, "data.batch_size is 0, expected 1 or more"),
    "an accelerator that does not exist": ({"trainer.accelerator": "foo"}, "trainer cannot be built"),
    "an omega above 1": (
        {"model.weights": "uap.losses.Omega", "model.weights.omega": 2},
        "weights.omega is 2.0, expected a weight from 0 to 1",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_a_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = CASES[name]
    root = make_camvid(tmp_path / "camvid")
    changes = change(root) if callable(change) else change
    with pytest.raises(SystemExit) as ended:
        door(lambda: fit.main(attack_args(root, tmp_path / "out", **changes)))

    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert re.search(message, printed, re.DOTALL), printed
    assert not Path("executed").exists()
