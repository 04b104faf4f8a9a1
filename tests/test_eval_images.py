"""Tests of the number of scored images, which is the same for every command, and of the limit of batches."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import attack_args, make_camvid, refuses
from uap import attack as attack_images
from uap import distortions, evaluate, fit, transfer
from uap.data import CamVid, StreetScenes
from uap.datasets import subset
from uap.report import main as report
from uap.universal.callbacks.pictures import examples

CHOSEN = ["frame_000", "frame_003", "frame_006"]
"""Three of seven, evenly spread."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid", train=4, val=7)


def metrics(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())


def scored(folder: Path) -> list[str]:
    with (folder / "per_image.csv").open() as file:
        return [row["image"] for row in csv.DictReader(file)]


def test_numbers_are_evenly_spread() -> None:
    assert subset.evenly(7, 3).tolist() == [0, 3, 6]
    assert subset.evenly(7, 1).tolist() == [0]
    for wanted in (None, 7, 20):
        assert subset.evenly(7, wanted).tolist() == list(range(7))
    for count in range(1, 40):
        for wanted in range(1, count + 1):
            assert len(set(subset.evenly(count, wanted).tolist())) == wanted


@pytest.mark.slow
def test_all_commands_select_the_same_images(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    cli = fit.main(attack_args(root, out, **{"data.eval_images": 3}))
    assert scored(out) == CHOSEN
    assert (metrics(out)["images"], metrics(out)["images_in_split"]) == ({"train": 4, "scored": 3}, 7)
    table = capsys.readouterr().out.splitlines()
    assert next(line for line in table if line.startswith("images ")).split() == ["images", "4", "3", "of", "7"]
    assert [example.name for example in examples(cli.model, cli.datamodule, 2)] == [CHOSEN[0], CHOSEN[-1]]

    perturbation = f"--perturbation={out / 'perturbation.safetensors'}"
    evaluate.main([*attack_args(root, tmp_path / "scores", **{"data.eval_images": 3}), perturbation])
    assert scored(tmp_path / "scores") == CHOSEN
    attack_images.main([*attack_args(root, tmp_path / "ceiling"), "--images=3", "--steps=1"])
    assert scored(tmp_path / "ceiling") == CHOSEN

    whole = tmp_path / "whole"
    fit.main(attack_args(root, whole, **{"trainer.max_epochs": 1}))
    (whole / "perturbation.safetensors").write_bytes((out / "perturbation.safetensors").read_bytes())
    transfer.main([str(whole), "--images=3", f"--out={tmp_path / 'transfer'}", "--seed=5"])
    cell = json.loads((tmp_path / "transfer" / "transfer.json").read_text())["cells"][0]
    rows = json.loads((distortions.main([str(whole), "--images=3"]) / "distortions.json").read_text())["rows"]
    for values in (
        cell["metrics"],
        rows[0]["metrics"],
        {"success_rate": metrics(tmp_path / "scores")["val/success_rate"]},
    ):
        assert values["success_rate"] == pytest.approx(metrics(out)["val/success_rate"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "images"), [("2", 4), ("0.5", 4), ("1.0", 7)])
def test_limit_of_batches_applies_to_the_final_table(root: Path, tmp_path: Path, limit: str, images: int) -> None:
    cli = fit.main(attack_args(root, tmp_path / "out", **{"trainer.limit_val_batches": limit}))
    assert len(scored(tmp_path / "out")) == metrics(tmp_path / "out")["images"]["scored"] == images
    validated = float(cli.trainer.callback_metrics["val/success_rate"])
    assert metrics(tmp_path / "out")["val/success_rate"] == pytest.approx(validated, abs=1e-6)


def test_limit_of_batches_applies_to_other_tables(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"trainer.limit_val_batches": 1}
    fit.main(attack_args(root, tmp_path / "out"))
    perturbation = f"--perturbation={tmp_path / 'out' / 'perturbation.safetensors'}"
    capsys.readouterr()
    evaluate.main([*attack_args(root, tmp_path / "scores", **settings), perturbation])
    assert metrics(tmp_path / "scores")["images"] == {"scored": 2}
    assert "2 of 7" in capsys.readouterr().out
    report([str(tmp_path / "scores"), f"--out={tmp_path / 'page.html'}"])
    assert "2 of 7" in (tmp_path / "page.html").read_text()
    attack_images.main([*attack_args(root, tmp_path / "single"), "--steps=1"])
    attack_images.main([*attack_args(root, tmp_path / "single", **settings), "--steps=1"])
    assert metrics(tmp_path / "single")["gradient_evaluations"] == 2  # what the table is of, not all that is there


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_nothing_is_scored_without_validation(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit.main(attack_args(root, tmp_path / "out", **{"trainer.limit_val_batches": 0}))
    assert metrics(tmp_path / "out")["images"] == {"train": 4, "scored": 0}
    assert "validation" not in capsys.readouterr().out.split("epsilon")[0]
    assert (tmp_path / "out" / "perturbation.safetensors").exists()
    assert scored(tmp_path / "out") == []


def test_number_of_scored_images_does_not_change_the_steps(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fit.main(attack_args(root, out, **{"trainer.max_epochs": 1, "data.eval_images": 3}))
    again = {"trainer.max_epochs": 2, "data.eval_images": 2, "ckpt_path": out / "checkpoints" / "last.ckpt"}
    fit.main(attack_args(root, out, **again))
    assert metrics(out)["images"]["scored"] == 2


def test_too_large_number_of_images_is_reported(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = CamVid(str(root), (24, 32), num_workers=0, eval_images=20)
    with caplog.at_level("INFO"):
        data.setup("validate")
    assert len(data.datasets["scored"]) == 7
    assert any("data.eval_images is 20" in record.message for record in caplog.records)
    with refuses("data.eval_images", "out_of_range"):
        CamVid(str(root), (24, 32), eval_images=0)


def test_synthetic_scenes_are_scored_in_part(tmp_path: Path) -> None:
    data = StreetScenes(str(tmp_path), (32, 64), scenes=1, scored_scenes=3, num_workers=0, eval_images=2)
    data.prepare_data()
    data.setup("validate")
    assert [item.name[-6:] for item in data.datasets["scored"].items] == ["000000", "000002"]
    assert data.images_in_split == 3
