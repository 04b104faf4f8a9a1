"""Tests of whole runs on zip files, image folders and videos."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets.test_video import draw
from tests.datasets.zips import make_zips
from tests.helpers import attack_args, make_cityscapes, save, scene
from uap import fit


def run(root: Path, out: Path, data: str, **changes: Any) -> dict[str, Any]:
    settings = {"data": f"uap.data.{data}", "data.size": [24, 32], "data.batch_size": 2, **changes}
    fit.main(attack_args(root, out, **settings))
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def scored(out: Path) -> list[str]:
    with (out / "per_image.csv").open() as file:
        return [row["image"] for row in csv.DictReader(file)]


@pytest.mark.slow
def test_run_on_zip_files_equals_run_on_extracted_files(tmp_path: Path) -> None:
    settings = {
        "model.objective.image": "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "model.victim.classes": ["road", "sidewalk"],
        "data.num_workers": 1,
    }
    zips = run(make_zips(tmp_path / "zips"), tmp_path / "out", "Cityscapes", **settings)
    extracted = run(make_cityscapes(tmp_path / "tree"), tmp_path / "again", "Cityscapes", **settings)
    assert zips["val/miou_clean"] == 1
    for metric in ("train/success_rate", "val/success_rate", "val/miou_adversarial"):
        assert zips[metric] == extracted[metric]


def test_run_on_an_image_folder_hides_a_class_and_has_no_iou(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(10):
        save(tmp_path / "own" / ("", "more")[i % 2] / f"{i}.png", scene(rng, (30 + i, 50 - i))[0])
    target = {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": ["building"]}
    metrics = run(tmp_path / "own", tmp_path / "out", "ImageFolder", **target, **{"data.limit": 5})
    assert metrics["images"] == {"train": 5, "scored": 2}
    assert metrics["val/hidden"] > 0
    assert not [name for name in metrics if "miou" in name]
    names = scored(tmp_path / "out")
    assert len(names) == 2
    assert (tmp_path / "out" / "pictures" / f"{names[0]}.png").exists()


def test_run_on_a_video_reaches_the_prediction_on_one_frame(tmp_path: Path) -> None:
    video = draw(tmp_path / "drive.mp4", frames=20, size=(48, 64))
    changes = {"model.objective.image": "drive_000010", "data.every": 2, "data.num_workers": 1}
    metrics = run(video, tmp_path / "out", "VideoFrames", **changes)
    assert metrics["images"] == {"train": 8, "scored": 2}
    assert scored(tmp_path / "out") == ["drive_000016", "drive_000018"]
    assert metrics["val/success_rate"] > 0.5
