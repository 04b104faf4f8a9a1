"""Reproductions of a few seconds: the brightness network on the small CamVid."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytorch_lightning import Callback, Trainer

from tests.helpers import make_camvid
from uap.reproduce import main
from uap.utils.errors import InputError

BRIGHTNESS = Path(__file__).parents[1] / "brightness.yaml"

METRICS = {"train/success_rate": "success, training", "scored/success_rate": "success, validation"}

PAPER = {
    "source": "Somebody et al., table 7",
    "network": "FCN8s",
    "data": "Cityscapes",
    "size": [512, 1024],
    "images": 2975,
    "steps": 60,
    "rows": [
        {"epsilon": 80, "train/success_rate": 61.5, "scored/success_rate": 60.25},
        {"epsilon": 99, "scored/success_rate": 96.3},
    ],
}


class StopAt(Callback):
    """Stops the run after `step` optimizer steps, where the environment says STOP."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if "STOP" in os.environ and trainer.global_step == self.step:
            raise InputError("stopped by the test")


def content(**changes: Any) -> dict[str, Any]:
    """A reproduction with two values of epsilon, with changes; None removes a key."""
    whole = {
        "title": "Success by epsilon",
        "shows": "More is more.",
        # with steps of 60 the dark pixels, at 70, pass the threshold of 128 where epsilon lets them
        "experiments": {"static": {"configs": [str(BRIGHTNESS)], "settings": {"model.optimizer.lr": 60}}},
        "axes": {"epsilon": {"setting": "model.epsilon", "values": [30, 80]}},
        "metrics": METRICS,
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def reproduction(name: str = "table", **changes: Any) -> str:
    """Write a reproduction into the current folder, and the data; return the file's name."""
    if not Path("camvid").exists():
        make_camvid(Path("camvid"))
    path = Path(f"{name}.yaml")
    path.write_text(yaml.safe_dump(content(**changes), sort_keys=False))
    return str(path)


def reproduce(*arguments: str) -> Path:
    """Run the command on the small CamVid; return the page."""
    (page,) = main([*arguments, "--out", "out", "--data.root", "camvid"])
    return page


def folders() -> list[Path]:
    """The folders of the trials."""
    return sorted(Path("out/trials").iterdir())


def metrics(epsilon: float) -> dict[str, Any]:
    """The metrics of the trial with this epsilon."""
    (found,) = [m for m in (json.loads((f / "metrics.json").read_text()) for f in folders()) if m["epsilon"] == epsilon]
    return dict(found)


def trial_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The printed lines that announce trials, since the last call."""
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("trial ")]
