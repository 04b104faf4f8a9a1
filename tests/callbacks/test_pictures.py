"""Tests of the single panels of examples."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.helpers import attack_args, learned, make_camvid, save
from uap import fit

FOUR = {"trainer.callbacks.images": 4}


def picture(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_panels_have_the_size_of_the_data(tmp_path: Path) -> None:
    root, out = make_camvid(tmp_path / "camvid"), tmp_path / "out"
    labels = picture(root / "valannot" / "frame_001.png").copy()
    labels[:4] = 11  # CamVid's void, which is ignored
    save(root / "valannot" / "frame_001.png", labels)
    save(root / "valannot" / "frame_003.png", np.full_like(labels, 11))
    table = fit.main(attack_args(root, out, **FOUR)).model.victim.table

    panels = out / "pictures" / "panels"
    assert sorted(path.name for path in panels.iterdir()) == [f"frame_{i:03d}" for i in range(4)]
    noise = learned(out).permute(1, 2, 0).numpy()
    target = picture(root / "trainannot" / "frame_000.png")  # the network's prediction on its image
    for own in panels.iterdir():
        image = picture(root / "val" / f"{own.name}.png")
        adversarial = np.clip(image + noise, 0, 255).round()
        assert np.array_equal(picture(own / "image.png"), image)
        assert np.array_equal(picture(own / "adversarial_image.png"), adversarial)
        for name, mask in {
            "prediction": image.mean(2) > 128,
            "adversarial_prediction": adversarial.mean(2) > 128,
            "target": target,
        }.items():
            assert np.array_equal(picture(own / f"{name}.png"), table.paint(mask.astype(int))), name
    assert np.array_equal(
        picture(panels / "frame_001" / "labels.png"), table.paint(np.where(labels == 11, 255, labels))
    )
    assert not (panels / "frame_003" / "labels.png").exists()


def test_legend_has_the_colors_of_the_visible_classes(tmp_path: Path) -> None:
    changes = {"model.victim.network.classes": 3, "model.victim.classes": ["sky", "building", "castle"]}
    cli = fit.main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **changes))

    legend = json.loads((tmp_path / "out" / "pictures" / "legend.json").read_text())
    assert legend == {name: list(cli.model.victim.table.colors[i]) for i, name in enumerate(["sky", "building"])}
