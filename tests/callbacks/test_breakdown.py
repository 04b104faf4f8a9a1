"""Tests of the success by image, class and object size in metrics.json against the images."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.helpers import SIZE, attack_args, learned, make_camvid, save
from uap import evaluate, fit
from uap.metrics.breakdown import Breakdown
from uap.metrics.scores import Outcome, Scores
from uap.objectives import Goal, StaticTarget
from uap.universal.callbacks.results import callback_of
from uap.universal.callbacks.success import SuccessMetrics

DYNAMIC = {
    "model.objective": "uap.objectives.HideClasses",
    "model.objective.hide": ["building"],
    "model.tile": [1, 1],
    "model.epsilon": 52,  # the bright blocks are about 52 above the threshold: half of their pixels are hidden
    "model.optimizer.lr": 40,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create data whose labels equal the predictions, except for one image whose sky is labeled as building."""
    root = make_camvid(tmp_path / "camvid")
    save(root / "valannot" / "frame_001.png", np.ones(SIZE, np.uint8))
    return root


def details(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "metrics.json").read_text())
    return {name: found[name] for name in ("per_image", "hidden_by_size", "by_class") if name in found}


def scored(root: Path, folder: Path) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]:
    """Return `(N, H, W)` each: the bright pixels (building) of the clean and of the adversarial images, and labels."""
    noise = learned(folder)
    clean, adversarial = [], []
    for path in sorted((root / "val").glob("*.png")):
        image = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1).float()
        clean.append(image.mean(0) > 128)
        adversarial.append((image + noise).clamp(0, 255).round().mean(0) > 128)
    labels = [np.asarray(Image.open(path)) for path in sorted((root / "valannot").glob("*.png"))]
    return torch.stack(clean).numpy(), torch.stack(adversarial).numpy(), np.stack(labels)


def evaluated(folder: Path) -> dict[str, Any]:
    """Return the details that an evaluation of the perturbation of a run writes."""
    arguments = {
        "config": folder / "config.yaml",
        "perturbation": folder / "perturbation.safetensors",
        "trainer.default_root_dir": folder / "scores",
    }
    evaluate.main([f"--{name}={value}" for name, value in arguments.items()])
    return details(folder / "scores")


def iou(predicted: NDArray[np.bool_], labels: NDArray[np.bool_]) -> float:
    return float((predicted & labels).sum() / (predicted | labels).sum())


@pytest.mark.slow
def test_breakdown_of_a_dynamic_target(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out", **DYNAMIC))
    found = details(tmp_path / "out")
    clean, adversarial, labels = scored(root, tmp_path / "out")

    shares = {
        "hidden": sorted((~a[c]).mean() for a, c in zip(adversarial, clean, strict=True)),
        "preserved": sorted((~a[~c]).mean() for a, c in zip(adversarial, clean, strict=True)),
        "remaining": sorted(a.sum() / c.sum() for a, c in zip(adversarial, clean, strict=True)),
    }
    assert list(found["per_image"]) == ["hidden", "preserved", "remaining"]
    for name, expected in shares.items():
        worst = expected[-1 if name == "remaining" else 0]  # a high value is worst for the attack
        assert found["per_image"][name]["worst_decile"] == pytest.approx(worst, abs=1e-6)
        assert found["per_image"][name]["deciles"] == pytest.approx(
            np.percentile(expected, range(0, 101, 10)), abs=1e-6
        )
    hidden = float((~adversarial[clean]).mean())
    assert 0.02 < hidden < 0.98
    small = {"objects": 4, "pixels": int(clean.sum()), "hidden": pytest.approx(hidden, abs=1e-6)}
    assert found["hidden_by_size"] == {"small": small}
    sky, building = found["by_class"]
    assert (sky["class"], building["class"]) == ("sky", "building")
    assert (sky["pixels"], building["pixels"]) == ((~clean).sum(), clean.sum())
    assert sky["preserved"] == pytest.approx((~adversarial[~clean]).mean(), abs=1e-6)
    assert building["hidden"] == pytest.approx(hidden, abs=1e-6)
    assert building["remaining"] == pytest.approx(adversarial.sum() / clean.sum(), abs=1e-6)
    for row, label in ((sky, 0), (building, 1)):
        assert row["iou_clean"] == pytest.approx(iou(clean == label, labels == label), abs=1e-6)
        assert row["iou_adversarial"] == pytest.approx(iou(adversarial == label, labels == label), abs=1e-6)
    assert set(sky) == {"class", "pixels", "preserved", "iou_clean", "iou_adversarial"}
    assert set(building) == {"class", "pixels", "hidden", "remaining", "iou_clean", "iou_adversarial"}
    assert evaluated(tmp_path / "out") == found


@pytest.mark.slow
def test_breakdown_of_a_static_target(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = fit.main(attack_args(root, tmp_path / "out"))
    found = details(tmp_path / "out")
    target = np.asarray(Image.open(root / "trainannot" / "frame_000.png"))
    reached = scored(root, tmp_path / "out")[1] == target

    worst = reached.mean((1, 2)).min()
    assert found["per_image"]["success_rate"]["worst_decile"] == pytest.approx(worst, abs=1e-6)
    assert "hidden_by_size" not in found
    for row, label in zip(found["by_class"], (0, 1), strict=True):
        assert row["pixels"] == 4 * (target == label).sum()
        assert row["success_rate"] == pytest.approx(reached[:, target == label].mean(), abs=1e-6)
    table = capsys.readouterr().out.splitlines()
    row = next(i for i, line in enumerate(table) if line.startswith("success rate"))
    assert table[row + 1].split() == ["worst", "decile", f"{100 * worst:.1f}", "%"]
    assert len(table[row + 1]) == len(table[row])
    assert callback_of(cli.trainer, SuccessMetrics).breakdown is None  # validations within the fit do without
    assert evaluated(tmp_path / "out") == found


def test_class_that_is_only_labeled_has_no_rate() -> None:
    ids = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
    labels = torch.tensor([[[0, 2, 2]]], dtype=torch.uint8)
    objective, image = StaticTarget.of_labels(ids[0]), torch.zeros(1, 3, 1, 3)
    breakdown = Breakdown(objective, ("sky", "building", "pole", "road"), "cpu")
    scores = Scores(objective, 4, "cpu")
    outcome = Outcome(image, image, ids, ids, Goal(ids), labels, torch.tensor([0]))
    breakdown.update(outcome)
    scores.update(outcome)

    rows = breakdown.compute(scores)["by_class"]
    assert [row["class"] for row in rows] == ["sky", "building", "pole"]
    assert [row["pixels"] for row in rows] == [2, 1, 2]
    assert [row["success_rate"] for row in rows] == [1, 1, None]
    assert [row["iou_clean"] for row in rows] == [0.5, None, 0]


def test_classes_without_a_counterpart_are_left_out_of_the_iou(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        fit.main(attack_args(root, tmp_path / "out", **{"model.victim.classes": ["sky", "castle"]}))
    said = [record.message for record in caplog.records if "IoU" in record.message]
    assert len(said) == 1
    assert "building" in said[0]
    assert "castle" in said[0]
    sky, castle = details(tmp_path / "out")["by_class"]
    clean, _, labels = scored(root, tmp_path / "out")
    iou = (~clean[labels == 0]).mean()  # pixels labeled as building are ignored
    assert sky["iou_clean"] == pytest.approx(iou, abs=1e-6)
    assert castle["iou_clean"] is None


def test_data_without_labels_have_no_iou_by_class(root: Path, tmp_path: Path) -> None:
    (root / "valannot").rename(tmp_path / "elsewhere")
    fit.main(attack_args(root, tmp_path / "out"))
    assert [row["iou_clean"] for row in details(tmp_path / "out")["by_class"]] == [None, None]
