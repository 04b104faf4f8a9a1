"""Tests of `python -m uap.train_victim` on synthetic scenes."""

import json
import math
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.helpers import attack_args, make_camvid, refuses
from uap import fit, train_victim
from uap.data import StreetScenes
from uap.networks import ESPNet
from uap.training.module import VictimTraining, class_weights
from uap.universal.callbacks.card import victim_block
from uap.utils.class_tables import CAMVID
from uap.utils.errors import Kind
from uap.victims import Victim


def test_training_writes_weights_and_a_model_card(tmp_path: Path) -> None:
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
    victim = Victim(ESPNet(19, q=1), str(tmp_path / "out" / "victim.safetensors"), mean=(128.0,) * 3, std=(64.0,) * 3)
    image = torch.randint(0, 256, (1, 3, 64, 128), dtype=torch.uint8)
    cli.model.eval()
    assert torch.allclose(victim(image.float()), cli.model(image), atol=1e-4)
    assert (tmp_path / "out" / "checkpoints" / "last.ckpt").exists()
    written = yaml.safe_load((tmp_path / "out" / "victim.yaml").read_text())["model"]["victim"]["init_args"]
    assert written["network"] == {"class_path": "uap.networks.ESPNet", "init_args": ANY}
    assert written["classes"] == "cityscapes"
    assert Path(written["weights"]) == tmp_path / "out" / "victim.safetensors"


class TwoHeads(nn.Module):
    """A network with a tuple of outputs at half the size, only even sizes, and one output more than classes."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(3, outputs, 2, stride=2)
        self.auxiliary = nn.Conv2d(3, outputs, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.shape[-1] % 2:
            raise ValueError("odd")
        return self.score(x), self.auxiliary(x)


def small_camvid(tmp_path: Path, **changes: Any) -> list[str]:
    """Return arguments that train this network on a few images of 24 x 32."""
    settings = {
        "data": "uap.data.CamVid",
        "data.root": make_camvid(tmp_path / "camvid"),
        "data.size": [24, 31],
        "data.num_workers": 0,
        "model.network": "tests.test_train_victim.TwoHeads",
        "model.network.outputs": 12,
        "model.size_multiple": 2,
        "model.crop": [16, 16],
        "model.learning_rate": 0.05,
        "trainer.max_epochs": 6,
        "trainer.logger": "false",
        "trainer.enable_progress_bar": "false",
        "trainer.default_root_dir": tmp_path / "out",
        **changes,
    }
    return [f"--{name}={value}" for name, value in settings.items()]


@pytest.mark.filterwarnings("ignore:The network TwoHeads has 2 outputs")
def test_training_starts_from_given_weights(tmp_path: Path) -> None:
    start = {name: value for name, value in TwoHeads(12).state_dict().items() if name.startswith("score")}
    save_file(start, tmp_path / "start.safetensors")
    model = VictimTraining(TwoHeads(12), str(tmp_path / "start.safetensors"))
    assert all(torch.equal(model.network.state_dict()[name], value) for name, value in start.items())
    with refuses("model.weights", "not_supported"):
        VictimTraining(TwoHeads(13), str(tmp_path / "start.safetensors"))
    with refuses("model.weights", "missing_file"):
        VictimTraining(TwoHeads(12), str(tmp_path / "nowhere.safetensors"))

    given = {"model.weights": tmp_path / "start.safetensors", "model.learning_rate": 1e-9, "trainer.max_epochs": 1}
    train_victim.main(small_camvid(tmp_path, **given))
    trained = load_file(tmp_path / "out" / "victim.safetensors")
    assert all(torch.allclose(trained[name], value, atol=1e-6) for name, value in start.items())


@pytest.mark.filterwarnings("ignore:The network TwoHeads has 2 outputs")
def test_network_with_unusual_outputs_is_trained_and_attacked(tmp_path: Path) -> None:
    train_victim.main(small_camvid(tmp_path, **{"model.class_weights": "none", "trainer.precision": "bf16-mixed"}))
    card = json.loads((tmp_path / "out" / "victim.json").read_text())
    assert set(card["val/iou"]) == {"sky", "building"}
    assert card["val/miou"] > 0.8

    attack = attack_args(tmp_path / "camvid", tmp_path / "attack", **{"data.size": [24, 31]})
    with pytest.warns(UserWarning, match="has 2 outputs of 12 classes"):
        fit.main([*attack[:1], f"--config={tmp_path / 'out' / 'victim.yaml'}", *attack[1:]])
    metrics = json.loads((tmp_path / "attack" / "metrics.json").read_text())
    assert metrics["val/miou_clean"] == pytest.approx(card["val/miou"], abs=0.02)


def test_attack_does_not_download_initial_weights(tmp_path: Path) -> None:
    class Training:
        network = mean = std = torch.zeros(3)
        table, size_multiple = CAMVID, 8

    network = {"class_path": "uap.networks.FCN8s", "init_args": {"classes": 11, "imagenet": True}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": {"network": network}}))
    victim = victim_block(Training(), tmp_path)["model"]["victim"]  # type: ignore[arg-type]
    assert victim["init_args"]["network"]["init_args"] == {"classes": 11, "imagenet": False}
    assert victim["init_args"]["classes"] == "camvid"


def test_training_without_validation_raises_error(tmp_path: Path) -> None:
    with refuses("trainer.check_val_every_n_epoch", "conflict", "6 epochs"):
        train_victim.main(small_camvid(tmp_path, **{"trainer.check_val_every_n_epoch": 7}))


def test_saved_weights_are_those_of_the_best_validation(tmp_path: Path) -> None:
    changes = {"trainer.callbacks": "tests.test_train_victim.WorseAfterTwo", "trainer.max_epochs": 4}
    train_victim.main(small_camvid(tmp_path, **changes))
    assert json.loads((tmp_path / "out" / "victim.json").read_text())["epochs"] <= 2
    assert (load_file(tmp_path / "out" / "victim.safetensors")["score.weight"] != 0).any()


class WorseAfterTwo(Callback):
    """A callback that destroys the network before every validation after the second."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch >= 2:
            for parameter in pl_module.parameters():
                nn.init.zeros_(parameter)


def test_training_can_stop_early(tmp_path: Path) -> None:
    changes = {
        "trainer.callbacks": "EarlyStopping",
        "trainer.callbacks.monitor": "val/miou",
        "trainer.callbacks.mode": "max",
        "trainer.callbacks.patience": 1,
        "model.learning_rate": 1e-12,
        "trainer.max_epochs": 9,
    }
    cli = train_victim.main(small_camvid(tmp_path, **changes))
    assert cli.trainer.current_epoch == 2


def test_class_weights_by_hand() -> None:
    weights = class_weights(torch.tensor([900, 100, 0]))
    assert weights.tolist() == pytest.approx([1 / math.log(2.0), 1 / math.log(1.2), 1 / math.log(1.1)])


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
    ("changes", "setting", "kind", "part"),
    [
        ({"model.network.classes": 7}, "model.network", "wrong_shape", "(1, 7, 16, 32)"),
        ({"model.class_weights": [1, 2]}, "model.class_weights", "wrong_shape", "2 numbers, expected 19"),
        ({"ckpt_path": "none.ckpt"}, "ckpt_path", "missing_file", "none.ckpt"),
        (
            {"data": "uap.data.CamVid", "data.root": "camvid"},
            None,
            "unusable_file",
            "No training image has a labeled pixel",
        ),
    ],
)
def test_bad_input_prints_an_error_message(
    changes: dict[str, Any], setting: str | None, kind: Kind | None, part: str, tmp_path: Path
) -> None:
    root = make_camvid(Path("camvid"))
    for folder in ("trainannot", "valannot"):
        shutil.rmtree(root / folder)
    small = {
        "data.root": tmp_path / "scenes",
        "data.size": [32, 64],
        "data.num_workers": 0,
        "model.crop": [16, 32],
        "model.network": "uap.networks.ESPNet",
        "model.network.classes": 19,
        "model.network.q": 1,
        "trainer.default_root_dir": tmp_path / "out",
        "trainer.logger": "false",
    }
    drawn = {} if "data" in changes else {"data.scenes": 1, "data.scored_scenes": 1}
    ordered = (
        {"data": "uap.data.StreetScenes"} | changes | {k: v for k, v in (small | drawn).items() if k not in changes}
    )
    with refuses(setting, kind, part):
        train_victim.main([f"--{name}={value}" for name, value in ordered.items()])
