"""Real images and a real network, where they are: CamVid and the ESPNet that its authors trained on it."""

import json
from pathlib import Path

import pytest

from uap import fit

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.real
def test_a_few_steps_on_camvid_already_draw_the_target(shared: Path, tmp_path: Path) -> None:
    changes = {
        "config": CONFIGS / "camvid_static.yaml",
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
    assert metrics["train/success_rate"] > 0.5  # a prototype reached about 0.6 after 180 evaluations, over all images
    assert metrics["gradient_evaluations"] == 72
