"""Real images and a real network, where they are: CamVid and the ESPNet that its authors trained on it."""

import json
from pathlib import Path

import pytest

from uap import fit

CONFIGS = Path(__file__).parents[1] / "configs"


def few_images(shared: Path, root: Path) -> Path:
    """A CamVid of 16 training images, t0 among them, and 3 validation images: links to the real ones."""
    for split, count in {"train": 16, "val": 3}.items():
        names = sorted(path.name for path in (shared / "camvid" / split).glob("*.png"))
        names = names[:: len(names) // count][:count]
        for name in [*names[1:], "0016E5_00390.png" if split == "train" else names[0]]:
            for folder in (split, f"{split}annot"):
                (root / folder).mkdir(parents=True, exist_ok=True)
                (root / folder / name).symlink_to(shared / "camvid" / folder / name)
    return root


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
        "data.root": few_images(shared, tmp_path / "camvid"),
        "model.victim.weights": shared / "victims" / "espnet_camvid_p2_q8.pth",
        "data.num_workers": 0,
        "trainer.max_epochs": 3,
        "trainer.check_val_every_n_epoch": 3,
        "trainer.logger": "false",
        "trainer.default_root_dir": tmp_path / "out",
    }
    fit.main([f"--{name}={value}" for name, value in changes.items()])

    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for name, floor in floors.items():
        assert metrics[f"train/{name}"] > floor
    assert metrics["gradient_evaluations"] <= 48
