"""The results of training a victim: its weights and its model card."""

import json
import sys
import time
from pathlib import Path
from typing import Any, cast

import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors.torch import save_file

from uap.data.datamodule import data_of
from uap.datasets import StreetScenes
from uap.datasets.synthetic import VERSION
from uap.training.module import CARD, VictimTraining
from uap.utils.atomic_file import atomic_file
from uap.utils.class_tables import TABLES
from uap.utils.errors import InputError
from uap.utils.safe_load import safe_load

STARTS = ("imagenet", "encoder_weights", "weights", "weights_backbone")
"""Arguments of networks for initial weights, which are not downloaded for an attack."""


class VictimCard(Callback):
    """Writes the weights, the configuration and the model card of a trained network.

    `victim.safetensors` has the weights of the best validation. `victim.yaml` is the configuration of the victim for
    `python -m uap.fit --config`. `victim.json` has the network, the data, the seeds, the command and the IoU by class.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock.

        Raises:
            InputError: the run would end without a validation, which selects the best weights.
        """
        every, epochs = trainer.check_val_every_n_epoch or 1, trainer.max_epochs or 0
        if 0 < epochs < every or trainer.limit_val_batches == 0:
            raise InputError(
                f"A training of {epochs} epochs with a validation every {every} epochs on {trainer.limit_val_batches} "
                "of the batches has no validation. Set --trainer.check_val_every_n_epoch 1.",
                setting="trainer.check_val_every_n_epoch",
                kind="conflict",
            )
        self.start = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the three files."""
        if not trainer.is_global_zero:
            return
        training, data = cast(VictimTraining, pl_module), data_of(trainer)
        images = data.datasets["train"].images
        folder = Path(trainer.default_root_dir)
        if not (folder / "checkpoints" / "best.ckpt").exists():  # interrupted before the first validation
            return
        best = cast(dict[str, Any], safe_load(folder / "checkpoints" / "best.ckpt"))
        prefix = "network."
        state = {k.removeprefix(prefix): v for k, v in best["state_dict"].items() if k.startswith(prefix)}
        with atomic_file(folder / "victim.safetensors") as file:
            save_file({name: value.contiguous() for name, value in state.items()}, file)
        card = {
            "network": type(training.network).__name__,
            "parameters": sum(p.numel() for p in training.network.parameters()),
            "data": {
                "class": type(data).__name__,
                "size": list(data.size),
                "seed": data.seed,
                "images": {role: len(samples) for role, samples in data.datasets.items()},
                **({"scene_seed": images.scene_seed, "version": VERSION} if isinstance(images, StreetScenes) else {}),
            },
            "size_multiple": training.size_multiple,
            "mean": training.mean.flatten().tolist(),
            "std": training.std.flatten().tolist(),
            "command": " ".join(["python -m uap.train_victim", *sys.argv[1:]]),
            "hours": round((time.monotonic() - self.start) / 3600, 2),
            **best[CARD],
        }
        (folder / "victim.json").write_text(json.dumps(card, indent=2) + "\n")
        (folder / "victim.yaml").write_text(yaml.safe_dump(victim_block(training, folder), sort_keys=False))
        print(
            f"\n{_table(card['val/iou'])}\nmean IoU {100 * card['val/miou']:.1f} %, best of {trainer.current_epoch} "
            f"epochs\n\nweights   {folder / 'victim.safetensors'}\ncard      {folder / 'victim.json'}\n"
            f"attack    python -m uap.fit --config EXPERIMENT.yaml --config {folder / 'victim.yaml'}"
        )


def victim_block(training: VictimTraining, folder: Path) -> dict[str, Any]:
    """Return the configuration of the victim for the network of a run folder."""
    named = [name for name, table in TABLES.items() if table == training.table]
    network = yaml.safe_load((folder / "config.yaml").read_text())["model"]["network"]
    built = network.get("init_args") or {}
    built |= {name: False if built[name] is True else None for name in STARTS if built.get(name)}
    settings = {
        "network": network,
        "weights": str((folder / "victim.safetensors").absolute()),
        "classes": named[0] if named else list(training.table.names),
        "mean": training.mean.flatten().tolist(),
        "std": training.std.flatten().tolist(),
        "size_multiple": training.size_multiple,
    }
    return {"model": {"victim": {"class_path": "uap.victims.Victim", "init_args": settings}}}


def _table(iou: dict[str, float]) -> str:
    return "\n".join(f"{name:<18}{100 * value:>6.1f} %" for name, value in iou.items())
