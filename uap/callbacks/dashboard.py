"""Weights & Biases: the logger, and the pictures and the artifact of a run. The only file that imports wandb."""

import os
import uuid
from pathlib import Path
from typing import Any, cast

import numpy as np
import wandb
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import WandbLogger

from uap.attack import UniversalAttack
from uap.callbacks.figures import amplified
from uap.callbacks.pictures import Example, examples, perturbation_picture
from uap.data.base import data_of
from uap.labels import IGNORE, LabelTable
from uap.perturbation import load_perturbation

RUN_ID = "wandb_id.txt"
"""The file of the run folder that keeps the W&B run's id, so that a resumed run continues it."""


def wandb_logger(folder: Path, name: str, resume: bool) -> WandbLogger:
    """Return the logger of a run: online where there is a login, else offline and without a question."""
    kept = folder / RUN_ID
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"  # the other ranks are started after it
    if is_first and not (resume and kept.exists()):
        kept.write_text(uuid.uuid4().hex[:8] + "\n")
    run_id = kept.read_text().strip() if kept.exists() else None
    mode = os.environ.get("WANDB_MODE") or ("online" if _has_login() else "offline")
    return WandbLogger(project="uap", name=name, save_dir=str(folder), id=run_id, mode=mode)


def _has_login() -> bool:
    try:
        return bool(wandb.login(prompt=False))
    except wandb.Error:  # there is a key, but no way to W&B: the run can be synced later
        return False


class Dashboard(Callback):
    """Logs to W&B at the end of a run: examples with masks as layers, the perturbation, and its file as an artifact."""

    def __init__(self, images: int = 4) -> None:
        """Log `images` examples."""
        self.images = images

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which end of each curve is the good one."""
        ends = {"success_rate": "max", "hidden": "max", "preserved": "max", "miou_adversarial": "min"}
        for logger in _loggers(trainer):
            for name, summary in ends.items():
                metric = f"{data_of(trainer).split}/{name}"
                logger.experiment.define_metric(metric, summary=summary, step_metric="trainer/global_step")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what was learnt."""
        attack = cast(UniversalAttack, pl_module)
        for logger in _loggers(trainer):
            self._log_pictures(logger, attack, trainer)
            path = Path(trainer.default_root_dir) / "perturbation.safetensors"
            metadata = load_perturbation(path)[1]
            artifact = wandb.Artifact(f"perturbation-{logger.experiment.id}", "perturbation", metadata=metadata)
            artifact.add_file(str(path))
            logger.experiment.log_artifact(artifact, aliases=["latest"])

    def _log_pictures(self, logger: WandbLogger, attack: UniversalAttack, trainer: Trainer) -> None:
        found = examples(attack, data_of(trainer), self.images)
        table, step = attack.victim.table, trainer.global_step
        logger.log_image(
            "examples/clean", [e.image for e in found], step, masks=[_clean_masks(e, table) for e in found]
        )
        adversarial = [e.adversarial_image for e in found]
        masks = [_adversarial_masks(e, table) for e in found]
        logger.log_image("examples/adversarial", adversarial, step, masks=masks, caption=[e.name for e in found])
        noise = amplified(perturbation_picture(attack), 127 / attack.perturbation.epsilon)
        logger.log_image("perturbation", [noise], step)


def _loggers(trainer: Trainer) -> list[WandbLogger]:
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def _clean_masks(example: Example, table: LabelTable) -> dict[str, Any]:
    masks = _layers({"prediction": example.clean}, table)
    return masks | (_layers({"labels": example.labels}, table) if (example.labels != IGNORE).any() else {})


def _adversarial_masks(example: Example, table: LabelTable) -> dict[str, Any]:
    return _layers({"prediction": example.adversarial, "target": example.target}, table)


def _layers(masks: dict[str, np.ndarray[Any, Any]], table: LabelTable) -> dict[str, Any]:
    names = dict(enumerate(table.names)) | {IGNORE: "ignored"}
    return {name: {"mask_data": mask.astype(int), "class_labels": names} for name, mask in masks.items()}
