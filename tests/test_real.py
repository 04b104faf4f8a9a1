"""Real images and a real network, where they are: CamVid and the ESPNet that its authors trained on it."""

import json
from pathlib import Path

import pytest

from uap import fit

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.real
@pytest.mark.parametrize(
    ("config", "floors"),
    [("camvid_static.yaml", {"success_rate": 0.5}), ("camvid_dynamic.yaml", {"hidden": 0.5, "preserved": 0.7})],
)
def test_a_few_steps_on_camvid_already_work(
    config: str, floors: dict[str, float], shared: Path, tmp_path: Path
) -> None:
    changes = {
        "config": CONFIGS / config,
        "data.root": shared / "camvid",
        "model.victim.weights": shared / "victims" / "espnet_camvid_p2_q8.pth",
        "data.limit": 24,
        "data.num_workers": 0,
        "trainer.max_epochs": 3,
        "trainer.limit_val_batches": 1,
        "trainer.logger": "false",
        "trainer.default_root_dir": tmp_path / "out",
    }
    fit.main([f"--{name}={value}" for name, value in changes.items()])

    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for name, floor in floors.items():
        assert metrics[f"train/{name}"] > floor
    assert metrics["gradient_evaluations"] <= 72
