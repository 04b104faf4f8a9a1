"""The results of a run in Weights & Biases."""

import copy
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from uap.data.datamodule import data_of
from uap.metrics.names import RATES
from uap.universal.attack_module import AttackModule
from uap.universal.callbacks.logger_errors import errors_as_warnings
from uap.universal.callbacks.pictures import Example, examples, universal_change
from uap.universal.callbacks.results import Metrics, Results, callback_of, write_perturbation
from uap.universal.callbacks.wandb_run import log_artifact
from uap.universal.module import UniversalAttack
from uap.universal.perturbation import Perturbation
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.plots import amplified
from uap.utils.safe_load import safe_load


class Dashboard(Callback):
    """Logs examples with masks, the perturbation, and tables to W&B at the end of a run or an evaluation.

    A run also logs its perturbation as an artifact `latest`. The version `best` is the perturbation of the best
    checkpoint. If the last epoch was the best one, both are the same version.
    """

    def __init__(self, images: int = 4) -> None:
        """Set the number of logged examples."""
        self.images = images

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Define for each metric whether its maximum or its minimum is best."""
        ends = {name: "max" if metric.higher_is_better else "min" for name, metric in RATES.items()}
        ends["miou_adversarial"] = "min"
        for logger in _loggers(trainer):
            for name, summary in ends.items():
                metric = f"{data_of(trainer).split}/{name}"
                logger.experiment.define_metric(metric, summary=summary, step_metric="trainer/global_step")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the results of a run."""
        attack = cast(UniversalAttack, pl_module)
        for logger in _loggers(trainer):
            with errors_as_warnings(logger):
                self._log(logger, attack, trainer)
                _log_artifacts(logger, attack, trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the results of an evaluation; validations during a fit are not logged."""
        if trainer.state.fn != TrainerFn.FITTING:
            for logger in _loggers(trainer):
                with errors_as_warnings(logger):
                    self._log(logger, cast(AttackModule, pl_module), trainer)

    def _log(self, logger: WandbLogger, attack: AttackModule, trainer: Trainer) -> None:
        found, step = examples(attack, data_of(trainer), self.images), trainer.global_step
        layers = [_layers(example, attack.victim.table) for example in found]
        names = [example.name for example in found]
        for key, pictures in {
            "examples/clean": [example.image for example in found],
            "examples/adversarial": [example.adversarial_image for example in found],
        }.items():
            logger.log_image(key, pictures, step, masks=layers, caption=names)
        universal = universal_change(attack)
        noises = [e.change for e in found] if universal is None else [universal]
        amplification = 127 / attack.epsilon
        logger.log_image("perturbation/amplified", [amplified(noise, amplification) for noise in noises], step)
        results = callback_of(trainer, Results)
        for name, rows in _tables(results).items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            data = [[row.get(column) for column in columns] for row in rows]
            logger.log_table(f"tables/{name}", columns, data, step=step)
        worst = {
            f"{data_of(trainer).split}/{rate}_worst_decile": images["worst_decile"]
            for rate, images in results.details["per_image"].items()
        }
        logger.log_metrics(worst, step)


def _loggers(trainer: Trainer) -> list[WandbLogger]:
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def _layers(example: Example, table: LabelTable) -> dict[str, Any]:
    names = dict(enumerate(table.names)) | {IGNORE: "ignored"}
    return {name: {"mask_data": mask.astype(int), "class_labels": names} for name, mask in example.masks().items()}


def _tables(results: Results) -> dict[str, list[dict[str, Any]]]:
    sizes = results.details.get("hidden_by_size", {})
    tables = {
        "by_class": results.details["by_class"],
        "hidden_by_size": [{"size": size, **counts} for size, counts in sizes.items()],
        "per_image": results.images,
    }
    return {name: rows for name, rows in tables.items() if rows}


def _log_artifacts(logger: WandbLogger, attack: UniversalAttack, trainer: Trainer) -> None:
    folder, metrics = Path(trainer.default_root_dir), callback_of(trainer, Results).metrics
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.filename == "best"]
    aliases = ["latest"]
    if kept and kept[0].best_model_path:
        best, known = _best(kept[0], attack, metrics)
        if torch.equal(best.proto, attack.perturbation.proto.cpu()):
            aliases += ["best"]
        else:
            with tempfile.TemporaryDirectory() as temporary:
                path = Path(temporary) / "perturbation.safetensors"
                write_perturbation(best, attack.objective, known, path)
                log_artifact(logger, path, known, ["best"])
    log_artifact(logger, folder / "perturbation.safetensors", metrics, aliases)


def _best(kept: ModelCheckpoint, attack: UniversalAttack, metrics: Metrics) -> tuple[Perturbation, Metrics]:
    """Return the best perturbation and its metadata, without the metrics, which are those of the last one."""
    checkpoint = cast(dict[str, Any], safe_load(Path(kept.best_model_path)))
    best = copy.deepcopy(attack.perturbation).cpu()
    best.load_state_dict({key.removeprefix("perturbation."): value for key, value in checkpoint["state_dict"].items()})
    known = {name: value for name, value in metrics.items() if "/" not in name and name != "largest_entry"}
    score = float(cast(Tensor, kept.best_model_score))
    return best, known | {"score": score, "epoch": checkpoint["epoch"], "global_step": checkpoint["global_step"]}
