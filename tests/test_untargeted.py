"""Tests of the untargeted universal attack on a network with a known result."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import Contrast, attack_args, learned, make_camvid
from uap import distortions, evaluate, fit, report, transfer
from uap.metrics.names import METRICS


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    root = make_camvid(tmp_path / "camvid")
    changes: dict[str, Any] = {
        "model.objective": "uap.objectives.Untargeted",
        "model.victim.network": "tests.helpers.Contrast",
        "trainer.max_epochs": 6,
        "trainer.num_nodes": 1,
    }
    return attack_args(root, tmp_path / "run", **changes)


def test_untargeted_run_moves_away_from_the_clean_prediction(settings: list[str], tmp_path: Path) -> None:
    cli = fit.main(settings)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {key.split("/")[1] for key in metrics if key.startswith("val/")} <= METRICS.keys()
    assert metrics["val/kept"] < 0.5
    assert metrics["val/miou_clean_prediction"] < metrics["val/kept"] + 0.5
    assert metrics["target"] == "Untargeted"
    # the class is the sign of a linear score of the channels
    signs = torch.tensor(Contrast.WEIGHTS).sign()[:, None, None]
    agreement = (learned(tmp_path / "run").sign() == signs).float().mean().item()
    assert max(agreement, 1 - agreement) > 0.9
    rows = (tmp_path / "run" / "per_image.csv").read_text().splitlines()
    assert rows[0] == "image,kept_hits,kept_pixels,kept"
    assert cli.model.objective.sign == -1


def test_every_scoring_command_accepts_an_untargeted_run(settings: list[str], tmp_path: Path) -> None:
    fit.main(settings)
    run = tmp_path / "run"
    own = json.loads((run / "metrics.json").read_text())
    arguments = [f"--config={run / 'config.yaml'}", f"--perturbation={run / 'perturbation.safetensors'}"]
    evaluate.main([*arguments, f"--trainer.default_root_dir={tmp_path / 'scores'}"])
    scored = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert scored["val/kept"] == pytest.approx(own["val/kept"])
    out = transfer.main([str(run), "--out", str(tmp_path / "transfer")])
    cells = json.loads((out / "transfer.json").read_text())["cells"]
    (cell,) = [cell for cell in cells if not cell["control"]]
    assert cell["metrics"]["kept"] == pytest.approx(own["val/kept"])
    assert "success_rate" not in cells[0]["metrics"]
    assert "kept" in (distortions.main([str(run), "--out", str(tmp_path / "d")]) / "distortions.md").read_text()
    assert "kept" in report.main([str(run), "--out", str(tmp_path / "page.html")]).read_text()
