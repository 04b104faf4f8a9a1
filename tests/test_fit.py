"""Tests of `python -m uap.fit` and `python -m uap.evaluate`."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import SIZE, attack_args, learned, make_camvid, refuses, save
from uap import evaluate, fit
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import save_perturbation
from uap.utils.errors import InputError

DYNAMIC = {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": ["building"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


PANELS = ("image", "adversarial_image", "prediction", "adversarial_prediction", "target", "labels")


def test_success_before_is_measured_on_clean_predictions(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out"))
    target = np.asarray(Image.open(root / "train" / "frame_000.png")).mean(2) > 128
    scored = [np.asarray(Image.open(path)).mean(2) > 128 for path in sorted((root / "val").glob("*.png"))]
    before = json.loads((tmp_path / "out" / "metrics.json").read_text())["val/success_before"]
    assert before == pytest.approx(np.mean([prediction == target for prediction in scored]), abs=0.002)


def test_run_folder_has_the_documented_files(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    fit.main(attack_args(root, out))

    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.yaml",
        "metrics.csv",
        "metrics.json",
        "per_image.csv",
        "perturbation.png",
        "perturbation.safetensors",
        "pictures/frame_000.png",
        "pictures/frame_000_predictions.png",
        "pictures/legend.json",
        "pictures/perturbation.png",
        *(f"pictures/panels/frame_000/{panel}.png" for panel in PANELS),
    }
    table = capsys.readouterr().out
    for words in (
        "success rate",
        "success before",
        "training",
        "validation",
        "epsilon",
        "gradient evaluations",
        "seconds",
        f"{out}/pictures",
    ):
        assert words in table
    noise = np.asarray(Image.open(out / "perturbation.png")).astype(float) - 128
    assert np.abs(noise - 127 / 60 * learned(out).permute(1, 2, 0).numpy()).max() <= 1


def test_metrics_of_a_static_target_are_measured_on_8_bit_images(root: Path, tmp_path: Path) -> None:
    cli = fit.main(attack_args(root, tmp_path / "out"))

    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    target = np.asarray(Image.open(root / "trainannot" / "frame_000.png"))
    noise = learned(tmp_path / "out").permute(1, 2, 0).numpy()
    images = [np.asarray(Image.open(path)).astype(np.float32) for path in sorted((root / "val").glob("*.png"))]
    attacked = [np.clip(image + noise, 0, 255).round() for image in images]
    success = np.mean([(image.mean(2) > 128) == target for image in attacked])
    assert metrics["val/success_rate"] == pytest.approx(success, abs=1e-6)
    assert metrics["val/miou_clean"] == 1
    assert metrics["gradient_evaluations"] == 12
    assert metrics["epsilon"] == 60
    assert metrics["images"] == {"train": 6, "scored": 4}
    with (tmp_path / "out" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["train/loss"] != "" for row in rows] == [True, True, True, False] * 2 + [False]
    assert float(rows[-1]["train/success_rate"]) == pytest.approx(metrics["train/success_rate"])
    assert float(rows[-2]["val/success_rate"]) == pytest.approx(success, abs=1e-6)
    assert cli.trainer.global_step == 6


def test_dynamic_target_is_scored_by_hidden_and_preserved(root: Path, tmp_path: Path) -> None:
    save(root / "train" / "frame_000.png", np.full((*SIZE, 3), 50, np.uint8))  # nothing to hide: left out
    changes = DYNAMIC | {"model.tile": [1, 1], "model.epsilon": 80, "model.optimizer.lr": 40}
    cli = fit.main(attack_args(root, tmp_path / "out", **changes))

    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["images"] == {"train": 5, "scored": 4}
    noise = learned(tmp_path / "out")
    assert noise.shape == (3, 1, 1)
    hidden = preserved = after = bright = dark = 0.0
    for path in sorted((root / "val").glob("*.png")):
        image = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1).float()
        clean = image.mean(0) > 128
        attacked = (image + noise).clamp(0, 255).round().mean(0) > 128
        hidden += float((clean & ~attacked).sum())
        preserved += float((~clean & ~attacked).sum())
        after += float(attacked.sum())
        bright += float(clean.sum())
        dark += float((~clean).sum())
    assert metrics["val/hidden"] == pytest.approx(hidden / bright, abs=1e-6)
    assert metrics["val/preserved"] == pytest.approx(preserved / dark, abs=1e-6)
    assert metrics["val/hidden"] > 0.9
    assert metrics["val/remaining"] == pytest.approx(after / bright, abs=1e-6)
    best = (hidden / bright + preserved / dark + 1 - after / bright) / 3  # the less remains, the better
    assert cli.trainer.callback_metrics["score"] == pytest.approx(best, abs=1e-6)


def test_data_without_labels_has_no_iou(root: Path, tmp_path: Path) -> None:
    (root / "valannot").rename(tmp_path / "elsewhere")
    fit.main(attack_args(root, tmp_path / "out"))

    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "val/success_rate" in metrics
    assert "val/miou_clean" not in metrics


def test_saved_configuration_runs_again_in_another_folder(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out", **{"model.epsilon": 55}))
    cli = fit.main(["--config", str(tmp_path / "out" / "config.yaml")])

    assert cli.folder.parent == Path("runs")
    assert torch.equal(learned(cli.folder), learned(tmp_path / "out"))
    assert cli.model.perturbation.epsilon == 55


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"model.epsilon": 20}, "model.epsilon is 60.0, here it is 20.0"),
        ({"model.optimizer.lr": 3}, "model.optimizer.lr is 10.0, here it is 3.0"),
        ({"trainer.max_epochs": 3}, "trainer.max_epochs is 2, here it is 3"),
    ],
)
def test_folder_of_a_run_is_not_overwritten(root: Path, tmp_path: Path, change: dict[str, Any], name: str) -> None:
    fit.main(attack_args(root, tmp_path / "out"))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"another configuration: .*{name}.*--ckpt_path"):
        fit.main(attack_args(root, tmp_path / "out", **change))
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_same_command_does_not_change_a_finished_run(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit.main(attack_args(root, tmp_path / "out"))
    before = learned(tmp_path / "out")
    fit.main(attack_args(root, tmp_path / "out", **{"data.num_workers": 1}))  # changes no result
    assert "has already finished its 2 epochs" in capsys.readouterr().out
    assert torch.equal(learned(tmp_path / "out"), before)


def test_run_does_not_start_in_the_folder_of_an_evaluation(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out"))
    perturbation = tmp_path / "out" / "perturbation.safetensors"
    evaluate.main(attack_args(root, tmp_path / "scores", perturbation=perturbation))
    with refuses("trainer.default_root_dir", "conflict", "no checkpoint"):
        fit.main(attack_args(root, tmp_path / "scores"))
    with pytest.raises(InputError, match=r"data.split is val, here it is test"):
        evaluate.main(attack_args(root, tmp_path / "scores", perturbation=perturbation, **{"data.split": "test"}))
    metrics = (tmp_path / "scores" / "metrics.json").read_text()

    evaluate.main(attack_args(root, tmp_path / "scores", perturbation=perturbation))  # the same again
    save_perturbation(Perturbation(SIZE, 5), tmp_path / "other.safetensors", {"size": str(list(SIZE))})
    with refuses("trainer.default_root_dir", "conflict", "another perturbation"):
        evaluate.main(attack_args(root, tmp_path / "scores", perturbation=tmp_path / "other.safetensors"))
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text()) == json.loads(metrics) | {
        "clean_images_predicted": 0
    }


def test_unwritable_run_folder_is_detected_at_the_start(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refuses("trainer.default_root_dir", "unusable_file"):
        fit.main(attack_args(root, tmp_path / "file" / "out"))


def test_evaluate_scores_a_perturbation_on_another_split(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out"))
    arguments = {
        "config": tmp_path / "out" / "config.yaml",
        "perturbation": tmp_path / "out" / "perturbation.safetensors",
        "data.split": "test",
        "trainer.default_root_dir": tmp_path / "scores",
    }
    evaluate.main([f"--{name}={value}" for name, value in arguments.items()])
    same = arguments | {"data.split": "val", "trainer.default_root_dir": tmp_path / "same"}
    evaluate.main([f"--{name}={value}" for name, value in same.items()])

    learned_from = arguments | {"data.split": "train", "trainer.default_root_dir": tmp_path / "learned_from"}
    evaluate.main([f"--{name}={value}" for name, value in learned_from.items()])

    assert 0 < json.loads((tmp_path / "scores" / "metrics.json").read_text())["test/success_rate"] <= 1
    assert (tmp_path / "scores" / "pictures" / "perturbation.png").exists()
    learned_metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    scored_metrics = json.loads((tmp_path / "same" / "metrics.json").read_text())
    for name in ("val/success_rate", "val/miou_clean", "val/miou_adversarial"):
        assert scored_metrics[name] == pytest.approx(learned_metrics[name], abs=1e-6)


def test_evaluate_uses_the_saved_target_for_other_data(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out"))
    elsewhere = make_camvid(tmp_path / "elsewhere")
    (elsewhere / "train" / "frame_000.png").unlink()
    arguments = {
        "config": tmp_path / "out" / "config.yaml",
        "perturbation": tmp_path / "out" / "perturbation.safetensors",
        "data.root": elsewhere,
        "trainer.default_root_dir": tmp_path / "scores",
    }
    evaluate.main([f"--{name}={value}" for name, value in arguments.items()])

    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("out", "scores")]
    assert metrics[0]["val/success_rate"] == pytest.approx(metrics[1]["val/success_rate"])


def test_evaluate_on_another_network_makes_its_own_target(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out"))
    arguments = {
        "config": tmp_path / "out" / "config.yaml",
        "perturbation": tmp_path / "out" / "perturbation.safetensors",
        "model.victim.network.threshold": 300,  # to which everything is dark, and so is the target
        "trainer.default_root_dir": tmp_path / "scores",
    }
    evaluate.main([f"--{name}={value}" for name, value in arguments.items()])
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text())["val/success_rate"] == 1


def test_per_image_metrics(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out"))

    with (tmp_path / "out" / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"frame_{i:03d}" for i in range(4)]
    hits = sum(int(row["success_rate_hits"]) for row in rows)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert hits / (4 * SIZE[0] * SIZE[1]) == pytest.approx(metrics["val/success_rate"])


def test_run_is_not_continued_in_the_folder_of_another_run(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fit.main(attack_args(root, tmp_path / name))
    checkpoint = tmp_path / "b" / "checkpoints" / "last.ckpt"
    with refuses("trainer.default_root_dir", "conflict"):
        fit.main(attack_args(root, tmp_path / "a", ckpt_path=checkpoint, **{"trainer.max_epochs": 3}))


def test_evaluate_with_a_perturbation_of_another_size_raises_error(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_perturbation(Perturbation((12, 16), 5), path, {"size": "[12, 16]"})
    with refuses("data.size", "wrong_shape", "12 x 16"):
        evaluate.main(attack_args(root, tmp_path / "out", perturbation=path))

    save_perturbation(Perturbation((12, 16), 5), path, {"size": "[48, 64]"})  # periodic: fits any size
    assert evaluate.main(attack_args(root, tmp_path / "out", perturbation=path)).model.perturbation.epsilon == 5
