"""Tests on real images and a real network, if available: CamVid and the published ESPNet."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import one_thread
from uap import fit
from uap.universal.perturbation_files import load_perturbation

CONFIGS = Path(__file__).parents[1] / "configs"


def settings(config: str, shared: Path, root: Path, out: Path, **changes: Any) -> list[str]:
    """Run a few steps of a shipped configuration on real images and the published ESPNet."""
    given = {
        "config": CONFIGS / config,
        "data.root": few_images(shared, root),
        "model.victim.weights": shared / "victims" / "espnet_camvid_p2_q8.pth",
        "data.num_workers": 0,
        "trainer.max_epochs": 3,
        "trainer.check_val_every_n_epoch": 3,
        "trainer.logger": "false",
        "trainer.default_root_dir": out,
    }
    return [f"--{name}={value}" for name, value in (given | changes).items()]


def few_images(shared: Path, root: Path) -> Path:
    """Create a CamVid of links to 16 training images, including t0, and 3 validation images."""
    for split, count in {"train": 16, "val": 3}.items():  # three to score: one of two ranks has one more
        names = sorted(path.name for path in (shared / "camvid" / split).glob("*.png"))
        names = names[:: len(names) // count][:count]
        for name in [*names[1:], "0016E5_00390.png" if split == "train" else names[0]]:
            for folder in (split, f"{split}annot"):
                (root / folder).mkdir(parents=True, exist_ok=True)
                (root / folder / name).symlink_to(shared / "camvid" / folder / name)
    return root


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    ("config", "floors"),
    [("camvid_static.yaml", {"success_rate": 0.5}), ("camvid_dynamic.yaml", {"hidden": 0.5, "preserved": 0.7})],
)
def test_few_steps_on_camvid_succeed(config: str, floors: dict[str, float], shared: Path, tmp_path: Path) -> None:
    fit.main(settings(config, shared, tmp_path / "camvid", tmp_path / "out"))

    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for name, floor in floors.items():
        assert metrics[f"train/{name}"] > floor
    assert metrics["gradient_evaluations"] <= 48


@pytest.mark.slow
@pytest.mark.real
def test_two_ranks_equal_one_process_on_a_real_network(shared: Path, tmp_path: Path) -> None:
    learned, success = [], []
    for ranks in (2, 1):
        changes = {"data.batch_size": 4 // ranks, "trainer.devices": ranks, "trainer.max_epochs": 2}
        given = settings("camvid_static.yaml", shared, tmp_path / f"camvid{ranks}", tmp_path / str(ranks), **changes)
        subprocess.run([sys.executable, "-m", "uap.fit", *given], env=one_thread(), check=True, timeout=600)
        learned.append(load_perturbation(tmp_path / str(ranks) / "perturbation.safetensors")[0].proto)
        success.append(json.loads((tmp_path / str(ranks) / "metrics.json").read_text())["val/success_rate"])
    assert (learned[0] == learned[1]).float().mean() > 0.999
    assert success[0] == pytest.approx(success[1], abs=0.001)
