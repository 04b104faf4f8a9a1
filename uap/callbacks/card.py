"""What training a victim leaves behind: its weights and the card that says what they are."""

import json
import sys
import time
from pathlib import Path
from typing import cast

from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors.torch import save_file

from uap.data import StreetScenes
from uap.data.base import data_of
from uap.scenes import VERSION
from uap.training import VictimTraining


class VictimCard(Callback):
    """Writes `victim.safetensors` and `victim.json`: network, data, seeds, command, IoU by class."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write both; the weights are those after the last epoch."""
        if not trainer.is_global_zero:
            return
        training, data = cast(VictimTraining, pl_module), data_of(trainer)
        folder = Path(trainer.default_root_dir)
        weights = {name: value.contiguous().cpu() for name, value in training.network.state_dict().items()}
        save_file(weights, folder / "victim.safetensors")
        card = {
            "network": type(training.network).__name__,
            "parameters": sum(p.numel() for p in training.network.parameters()),
            "data": {
                "class": type(data).__name__,
                "size": list(data.size),
                "seed": data.seed,
                "images": {role: len(dataset) for role, dataset in data.datasets.items()},
                **({"scene_seed": data.scene_seed, "version": VERSION} if isinstance(data, StreetScenes) else {}),
            },
            "mean": training.mean.flatten().tolist(),
            "std": training.std.flatten().tolist(),
            "epochs": trainer.current_epoch,
            "command": " ".join(["python -m uap.train_victim", *sys.argv[1:]]),
            "hours": round((time.monotonic() - self.start) / 3600, 2),
            **training.card(),
        }
        (folder / "victim.json").write_text(json.dumps(card, indent=2) + "\n")
        print(
            f"\nmean IoU {card['val/miou']}\nweights   {folder / 'victim.safetensors'}\n"
            f"card      {folder / 'victim.json'}"
        )
