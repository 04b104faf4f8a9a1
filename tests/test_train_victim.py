"""`python -m uap.train_victim` end to end, on drawn scenes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import make_camvid
from uap import train_victim
from uap.data import StreetScenes
from uap.errors import InputError
from uap.training import VictimTraining
from uap.victims import ESPNet, FrozenVictim


def test_training_leaves_weights_that_a_victim_loads_and_a_card(tmp_path: Path) -> None:
    config = Path(__file__).parents[1] / "configs" / "train_espnet_streetscenes.yaml"
    changes = {
        "config": config,
        "data.root": tmp_path / "scenes",
        "data.scenes": 6,
        "data.scored_scenes": 2,
        "data.size": [64, 128],
        "data.num_workers": 0,
        "data.batch_size": 3,
        "model.crop": [48, 64],
        "model.network.q": 1,
        "trainer.max_epochs": 2,
        "trainer.logger": "false",
        "trainer.enable_progress_bar": "false",
        "trainer.default_root_dir": tmp_path / "out",
    }
    cli = train_victim.main([f"--{name}={value}" for name, value in changes.items()])

    card = json.loads((tmp_path / "out" / "victim.json").read_text())
    assert card["network"] == "ESPNet"
    assert card["data"]["images"] == {"train": 6, "scored": 2}
    assert card["epochs"] == 2
    assert 0 <= card["val/miou"] <= 1
    assert "road" in card["val/iou"]
    victim = FrozenVictim(
        ESPNet(19, q=1), str(tmp_path / "out" / "victim.safetensors"), mean=(128.0,) * 3, std=(64.0,) * 3
    )
    image = torch.randint(0, 256, (1, 3, 64, 128), dtype=torch.uint8)
    cli.model.eval()
    assert torch.allclose(victim(image.float()), cli.model(image), atol=1e-4)
    assert (tmp_path / "out" / "checkpoints" / "last.ckpt").exists()


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = StreetScenes(str(tmp_path / "scenes"), (32, 64), scenes=4, scored_scenes=1, num_workers=0)
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.loader("train", shuffle=True)))
    training = VictimTraining(ESPNet(19, q=1))
    training.class_weights = torch.ones(19)
    training.log = lambda *args, **kwargs: None  # type: ignore[method-assign]  # outside of a loop
    optimizer = torch.optim.AdamW(training.network.parameters(), training.learning_rate)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = training.training_step(batch, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.network.classes": 7}, r"gives \(1, 7, 16, 32\) .* Set model.network's number of classes"),
        ({"ckpt_path": "none.ckpt"}, "There is no file none.ckpt"),
        ({"data": "uap.data.CamVid", "data.root": "camvid"}, "No training image has a labelled pixel"),
    ],
)
def test_bad_input_is_a_sentence(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    root = make_camvid(Path("camvid"))
    for folder in ("trainannot", "valannot"):
        shutil.rmtree(root / folder)
    small = {
        "data.root": tmp_path / "scenes",
        "data.size": [32, 64],
        "data.num_workers": 0,
        "model.crop": [16, 32],
        "model.network": "uap.victims.ESPNet",
        "model.network.classes": 19,
        "model.network.q": 1,
        "trainer.default_root_dir": tmp_path / "out",
        "trainer.logger": "false",
    }
    drawn = {} if "data" in changes else {"data.scenes": 1, "data.scored_scenes": 1}
    ordered = (
        {"data": "uap.data.StreetScenes"} | changes | {k: v for k, v in (small | drawn).items() if k not in changes}
    )
    with pytest.raises(InputError, match=message):
        train_victim.main([f"--{name}={value}" for name, value in ordered.items()])
