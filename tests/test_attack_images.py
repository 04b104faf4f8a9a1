"""Tests of `python -m uap.attack`."""

import csv
import json
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from tests.helpers import SIZE, attack_args, make_camvid, refuses, save
from uap import fit
from uap.attack import main
from uap.data.batch import Batch
from uap.datasets import CamVid
from uap.datasets.sources import Item
from uap.report import main as report
from uap.universal.adversarial_files import AdversarialFiles
from uap.universal.callbacks import pictures
from uap.universal.image_attack import ImageAttack
from uap.utils.errors import InputError

SETTINGS = {
    "model.optimizer.momentum": 0,
    "model.lr_scheduler": "torch.optim.lr_scheduler.ConstantLR",
    "model.lr_scheduler.factor": 1,
    "model.loss": "uap.losses.CrossEntropy",
    "steps": 5,
}
DYNAMIC = {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": ["building"]}
OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"model.epsilon": 20}, "its epsilon is 60.0, here it is 20.0"),
    ({"steps": 6}, "its steps is 5, here it is 6"),
    ({"model.victim.network.threshold": 90}, "its victim is .*, here it is"),
    ({"model.optimizer.lr": 3}, "its optimizer is .*10.*, here it is .*3"),
    ({"model.loss": "uap.losses.Margin"}, "its loss is .*CrossEntropy.*, here it is .*Margin"),
    ({"model.objective.image": "train/frame_001.png"}, "its scene is .*, here it is"),
    (DYNAMIC, "its objective is .*StaticTarget.*, here it is .*HideClasses"),
    ({"data.size": [12, 16]}, r"its size is \[24, 32\], here it is \[12, 16\]"),
    ({"data.resampling": "opencv"}, "its resampling is pil, here it is opencv"),
]
"""Settings of another attack, and the expected message."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


@pytest.fixture(autouse=True)
def small_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use small plots, because plotting takes most of the time of a small run."""
    for name in ("attack_figure", "prediction_figure"):
        monkeypatch.setattr(pictures, name, lambda *args: Figure(figsize=(1, 1)))


@pytest.fixture
def attacked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return the list of the indices of the images in each attacked batch."""
    batches: list[list[int]] = []
    learn = ImageAttack.learn

    def counted(self: ImageAttack, batch: Batch) -> torch.Tensor:
        batches.append(batch["index"].tolist())
        return learn(self, batch)

    monkeypatch.setattr(ImageAttack, "learn", counted)
    return batches


OF_ONE_START = ("seconds", "images_per_second", "clean_images_predicted")


def run(root: Path, out: Path, **changes: Any) -> dict[str, Any]:
    main(attack_args(root, out, **SETTINGS | changes))
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def adversarial(out: Path) -> dict[str, NDArray[np.uint8]]:
    return {path.stem: np.asarray(Image.open(path)) for path in sorted((out / "adversarial").glob("*.png"))}


def without_time(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in OF_ONE_START}


def test_metrics_are_those_of_the_files(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    metrics = run(root, out, **{"data.batch_size": 3})  # the last batch is smaller

    target = np.asarray(Image.open(root / "train" / "frame_000.png")).mean(2) > 128
    files, shares, largest = adversarial(out), [], 0
    assert list(files) == [f"frame_{i:03d}" for i in range(4)]
    for name, pixels in files.items():
        image = np.asarray(Image.open(root / "val" / f"{name}.png"))
        change = np.abs(pixels.astype(int) - image).max()
        shares.append(np.mean((pixels.mean(2) > 128) == target))
        largest = max(largest, change)
    assert metrics["val/success_rate"] == pytest.approx(np.mean(shares))
    assert metrics["val/success_rate"] > metrics["val/success_before"]
    assert metrics["largest_entry"] == largest <= 50  # five steps of 10
    assert (metrics["gradient_evaluations"], metrics["steps"]) == (20, 5)
    assert metrics["images"] == {"scored": 4}
    assert metrics["seconds"] >= 0
    with (out / "per_image.csv").open() as file:
        assert [float(row["success_rate"]) for row in csv.DictReader(file)] == pytest.approx(shares, abs=1e-6)
    printed = capsys.readouterr().out
    assert f"adversarial   {out / 'adversarial'}\n" in printed
    assert re.search(r"seconds +[\d.]+   \([\d.e+]+ images per second\)\n", printed)


def test_plots_show_the_perturbation_of_each_image(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[NDArray[np.float32]] = []

    def figure(*args: Any) -> Any:
        drawn.append(args[2])
        return Figure(figsize=(1, 1))

    monkeypatch.setattr(pictures, "attack_figure", figure)
    out = tmp_path / "out"
    run(root, out, **{"trainer.callbacks.images": 2})
    files = adversarial(out)
    for noise, name in zip(drawn, ("frame_000", "frame_003"), strict=True):
        image = np.asarray(Image.open(root / "val" / f"{name}.png"))
        assert np.array_equal(noise, files[name].astype(float) - image)
        panel = out / "pictures" / "panels" / name / "adversarial_image.png"
        assert np.array_equal(np.asarray(Image.open(panel)), files[name])
    assert not (out / "pictures" / "perturbation.png").exists()
    assert not (out / "perturbation.safetensors").exists()


def test_continued_run_prints_the_same_table(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attacked: list[list[int]]
) -> None:
    whole = run(root, tmp_path / "whole")
    attacked.clear()

    write = AdversarialFiles.write

    def breaks_off(self: AdversarialFiles, *args: Any) -> None:
        if len(attacked) == 2:
            raise RuntimeError("killed")
        write(self, *args)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(AdversarialFiles, "write", breaks_off)
        with pytest.raises(RuntimeError, match="killed"):
            run(root, out)
    assert list(adversarial(out)) == ["frame_000", "frame_001"]
    assert not (out / "metrics.json").exists()
    attacked.clear()
    continued = run(root, out)
    assert attacked == [[2, 3]]
    assert without_time(continued) == without_time(whole)
    assert (out / "per_image.csv").read_text() == (tmp_path / "whole" / "per_image.csv").read_text()
    for name, pixels in adversarial(tmp_path / "whole").items():
        assert np.array_equal(adversarial(out)[name], pixels)

    attacked.clear()
    shutil.rmtree(out / "pictures")
    assert without_time(run(root, out)) == without_time(whole)
    assert attacked == []
    assert (out / "pictures" / "frame_000.png").exists()


def test_seconds_are_summed_over_all_starts(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = AdversarialFiles.write
    monkeypatch.setattr(
        AdversarialFiles,
        "write",
        lambda self, images: write(
            self, {name: (image, of | {"seconds": 2.5}) for name, (image, of) in images.items()}
        ),
    )
    first = run(root, tmp_path / "out")
    assert (first["seconds"], first["images_per_second"]) == (10, 2)
    assert run(root, tmp_path / "out") == first | {"clean_images_predicted": 0}


def test_only_images_without_a_file_are_attacked(root: Path, tmp_path: Path, attacked: list[list[int]]) -> None:
    run(root, tmp_path / "out", images=2)
    assert list(adversarial(tmp_path / "out")) == ["frame_000", "frame_003"]
    attacked.clear()
    metrics = run(root, tmp_path / "out", **{"data.batch_size": 4})
    assert attacked == [[1, 2]]
    assert metrics["gradient_evaluations"] == 20
    assert run(root, tmp_path / "out", images=1)["gradient_evaluations"] == 5


def test_images_of_another_attack_raise_error(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(root, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for change, message in OTHERS:
        with pytest.raises(InputError, match=f"contains images of another attack: .*{message}"):
            run(root, out, **change)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_tile_and_random_shift_change_nothing(root: Path, tmp_path: Path, attacked: list[list[int]]) -> None:
    run(root, tmp_path / "out", **{"model.tile": [8, 8], "model.random_shift": True})
    files = adversarial(tmp_path / "out")
    metrics = run(root, tmp_path / "out")
    assert metrics["tile"] == list(SIZE)
    assert len(attacked) == 2
    run(root, tmp_path / "other")
    for name, pixels in adversarial(tmp_path / "other").items():
        assert np.array_equal(files[name], pixels)


def test_configuration_of_a_universal_attack_is_accepted(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "fit", **{"model.optimizer.lr": 3, "model.optimizer.momentum": 0.5}))
    config = tmp_path / "fit" / "config.yaml"
    cli = main([f"--config={config}", f"--trainer.default_root_dir={tmp_path / 'out'}", "--steps=2"])
    group = cli.model.optimizer([torch.zeros(1, requires_grad=True)]).param_groups[0]
    assert (group["lr"], group["momentum"]) == (3, 0.5)
    again = main([f"--config={tmp_path / 'out' / 'config.yaml'}", f"--trainer.default_root_dir={tmp_path / 'again'}"])
    assert again.model.steps == 2
    for name, pixels in adversarial(tmp_path / "again").items():
        assert np.array_equal(adversarial(tmp_path / "out")[name], pixels)


def test_image_without_hidden_pixels_is_attacked(root: Path, tmp_path: Path) -> None:
    save(root / "val" / "frame_000.png", np.full((*SIZE, 3), 50, np.uint8))
    metrics = run(root, tmp_path / "out", images=3, **DYNAMIC, **{"model.epsilon": 80, "model.optimizer.lr": 20})
    names = ["frame_000", "frame_002", "frame_003"]  # those that any other command scores of three
    assert list(adversarial(tmp_path / "out")) == names
    with (tmp_path / "out" / "per_image.csv").open() as file:
        assert [row["image"] for row in csv.DictReader(file)] == names
    assert metrics["val/hidden"] > 0.99
    assert metrics["val/preserved"] > 0.99
    assert metrics["val/remaining"] < 0.01
    with pytest.raises(InputError, match="on none of the 1 scored images"):
        run(root, tmp_path / "first", images=1, **DYNAMIC)


def test_images_with_the_same_name_have_separate_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = CamVid.find_items

    def same(self: CamVid) -> list[Item]:
        return [item._replace(name="frame") for item in find(self)]

    monkeypatch.setattr(CamVid, "find_items", same)
    run(root, tmp_path / "out")
    files = adversarial(tmp_path / "out")
    for i, name in enumerate(["frame", "frame_2", "frame_3", "frame_4"]):
        image = np.asarray(Image.open(root / "val" / f"frame_{i:03d}.png"))
        assert np.abs(files[name].astype(int) - image).max() <= 50
    run(root, tmp_path / "out", images=1, **{"data.split": "val"})  # the last of the names, chosen alone
    with (tmp_path / "out" / "per_image.csv").open() as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["frame"]


def test_images_of_other_data_raise_error(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / "out")
    save(root / "val" / "frame_001.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(
        InputError, match=r"frame_001.png is not within 60 grey levels of frame_001 of the data. Remove"
    ):
        run(root, tmp_path / "out")


def test_log_has_a_line_per_batch(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, tmp_path / "out", **{"trainer.enable_progress_bar": "true"})
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("batch")]
    assert re.fullmatch(r"batch 1 of 2, \d:\d\d left", lines[0])
    assert lines[1:] == ["batch 2 of 2"]


def test_no_line_without_progress(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, tmp_path / "out")  # with enable_progress_bar false
    assert "batch" not in capsys.readouterr().out


def test_report_shows_the_run(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / "out")
    page = report([str(tmp_path / "out"), "--out", "page.html"]).read_text()
    assert "frame_000" in page


@pytest.mark.filterwarnings("ignore:'uap.attack' found in sys.modules")
def test_invalid_start_leaves_no_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["uap.attack", *attack_args(root, tmp_path / "out", steps=0)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("uap.attack", run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("error: steps is 0, expected 1 or more.\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("attack", "largest"), [("FGSM", 60), ("IterativeFGSM", 60), ("DAG", 255)])
def test_a_named_attack_writes_its_images(attack: str, largest: int, root: Path, tmp_path: Path) -> None:
    objective = {"model.objective": "uap.objectives.StaticTarget", "model.objective.image": "train/frame_000.png"}
    metrics = run(root, tmp_path / "out", attack=attack, images=2, **objective)
    files = adversarial(tmp_path / "out")
    assert len(files) == 2
    changes = [
        np.abs(pixels.astype(int) - np.asarray(Image.open(root / "val" / f"{name}.png"))).max()
        for name, pixels in files.items()
    ]
    assert 0 < max(changes) <= largest
    assert metrics["attack"] == attack
    assert metrics["val/max_norm"] == max(changes)
    assert metrics["epsilon"] == (None if attack == "DAG" else 60)
    assert ("val/converged" in metrics) == (attack == "DAG")
    assert metrics["gradient_evaluations"] <= 2 * metrics["steps"]
    again = run(root, tmp_path / "out", attack=attack, images=2, **objective)
    assert without_time(again) == without_time(metrics)
    with pytest.raises(InputError, match="images of another attack"):
        run(root, tmp_path / "out", images=2, **objective)


def test_an_unknown_attack_is_refused(root: Path, tmp_path: Path) -> None:
    with refuses("attack", "unknown_name", "Nothing"):
        run(root, tmp_path / "out", attack="Nothing")
