"""The results of a run: the files of the perturbation, the final metrics, and the printed table."""

import csv
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from uap.data.datamodule import Role, SegmentationData, data_of
from uap.data.length import limited
from uap.data.predictions import predict_missing
from uap.metrics.breakdown import Breakdown
from uap.metrics.scores import Scores
from uap.objectives import Objective, StaticTarget
from uap.universal.attack_module import AttackModule
from uap.universal.callbacks.final_table import print_table
from uap.universal.callbacks.success import SuccessMetrics, breakdown_of, scores_of
from uap.universal.module import UniversalAttack
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import save_perturbation
from uap.utils.atomic_file import atomic_file
from uap.utils.plots import amplified
from uap.utils.progress import progress
from uap.victims.label_order import other_ids
from uap.victims.setup_warnings import setup_warnings

PICTURE = "perturbation.png"
"""The last file of results that a run writes."""

Metrics = dict[str, Any]
"""Values by name in `metrics.json`: metrics with the names `SPLIT/METRIC`, and settings."""

AnyCallback = TypeVar("AnyCallback", bound=Callback)


@torch.no_grad()
def score(
    attack: UniversalAttack, data: SegmentationData, role: Role, prefix: str, breakdown: Breakdown | None = None
) -> Scores:
    """Score the 8-bit adversarial images of a role; every rank scores its share.

    `trainer.limit_val_batches` limits the images of the role `scored`.

    Args:
        attack: the attack.
        data: the data, set up.
        role: the images to score.
        prefix: name of the images in the title of the progress bar.
        breakdown: counts the same images by class and by size, which is slow; None does not.

    Raises:
        InputError: clean predictions, which may be computed here, cannot be written.
    """
    attack.predicted += predict_missing(data.datasets[role], attack.victims[:1], attack.trainer)
    scores = scores_of(attack, is_final=role == "scored")
    loader = data.loader(role, shuffle=False)
    batches = limited(len(loader), attack.trainer.limit_val_batches) if role == "scored" else len(loader)
    bar = progress(islice(loader, batches), f"Scoring {prefix}", "batch", batches)
    for batch in bar:
        outcome = attack.outcome(attack.transfer_batch_to_device(batch, attack.device, 0))
        scores.update(outcome)
        if breakdown is not None:
            breakdown.update(outcome)
    return scores


class Results(Callback):
    """Counts the cost of a run, and writes the metrics and the perturbation at its end.

    Attributes:
        metrics: the final metrics and their settings, as in `metrics.json`; on rank 0.
        details: the other content of `metrics.json`: success by image, by class and by object size.
        images: the rows of `per_image.csv`.
        other_ids: a message if the labels seem to have other class ids, or None.
    """

    def __init__(self) -> None:
        """Start without cost."""
        self.gradient_evaluations = 0
        self.seconds = 0.0
        self.clock = 0.0
        self.validating = 0.0
        self.metrics: Metrics = {}
        self.details: Metrics = {}
        self.images: list[dict[str, Any]] = []
        self.other_ids: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the cost so far."""
        return {
            "gradient_evaluations": self.gradient_evaluations,
            "seconds": self._elapsed(),
            "validating": self.validating,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the cost of the run that is resumed."""
        self.gradient_evaluations = state_dict["gradient_evaluations"]
        self.seconds = state_dict["seconds"]
        self.validating = state_dict.get("validating", 0.0)  # older checkpoints have none

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and remove the file that marks a finished run: an interrupted run may have written it."""
        self.clock = time.monotonic()
        if trainer.is_global_zero:
            (Path(trainer.default_root_dir) / PICTURE).unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count one gradient evaluation per image of the batch and network, on all ranks."""
        networks = 1 + len(batch.get("ensemble", []))
        self.gradient_evaluations += len(batch["image"]) * networks * trainer.world_size

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the training and validation images with the last perturbation, and write all results."""
        seconds = self._elapsed()
        attack, data = cast(UniversalAttack, pl_module), data_of(trainer)
        training = score(attack, data, "train", "training")
        metrics: Metrics = {f"train/{name}": value for name, value in training.compute().items()}
        breakdown = breakdown_of(attack)
        scored = score(attack, data, "scored", data.split, breakdown)
        metrics |= self._scored(attack, data, scored, breakdown)
        metrics |= {
            "gradient_evaluations": self.gradient_evaluations,
            "seconds": round(seconds, 1),
            "images_per_second": round(self.gradient_evaluations / max(seconds - self.validating, 1e-9), 2),
        }
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir)
            self._write(metrics, attack, data, folder)
            write_perturbation(attack.perturbation, attack.objective, self.metrics, folder / "perturbation.safetensors")
            proto = attack.perturbation.proto.detach().permute(1, 2, 0).cpu().numpy()
            with atomic_file(folder / PICTURE) as file:
                Image.fromarray(amplified(proto, 127 / attack.perturbation.epsilon)).save(file)
            self._print(attack, data, folder)
            for logger in trainer.loggers:
                final = {key: value for key, value in metrics.items() if key.startswith("train/")}
                logger.log_metrics(final, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the time of the validation, in which nothing is learned."""
        self.validating -= time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the metrics of an evaluation; validations during a fit have no files."""
        self.validating += time.monotonic()
        if trainer.state.fn == TrainerFn.FITTING:
            return
        data, attack, folder = data_of(trainer), cast(AttackModule, pl_module), Path(trainer.default_root_dir)
        success = callback_of(trainer, SuccessMetrics)
        breakdown = cast(Breakdown, success.breakdown)  # there is one outside of a fit
        self._write(self._scored(attack, data, success.scores, breakdown), attack, data, folder)
        self._print(attack, data, folder)

    @staticmethod
    def are_in(folder: Path) -> bool:
        """Return whether a run has written all results; the PNG is the last file."""
        return (folder / PICTURE).is_file()

    def _scored(self, attack: AttackModule, data: SegmentationData, scores: Scores, breakdown: Breakdown) -> Metrics:
        """Store the details of the scored images and return their metrics. Every rank must call it."""
        self.images = scores.per_image([item.name for item in data.datasets["scored"].items])
        self.details = breakdown.compute(scores)
        self.other_ids = other_ids(scores.iou["miou_clean"].total(), attack.victim.table, data.table)
        return {f"{data.split}/{name}": value for name, value in scores.compute().items()}

    def _print(self, attack: AttackModule, data: SegmentationData, folder: Path) -> None:
        print_table(self.metrics, self.details["per_image"], data.split, folder)
        miou = self.metrics.get(f"{data.split}/miou_clean")
        for warning in setup_warnings(None, len(attack.victim.table), miou, self.other_ids):
            print(f"warning: {warning}")

    def _write(self, metrics: Metrics, attack: AttackModule, data: SegmentationData, folder: Path) -> None:
        self.metrics = metrics | {
            "epsilon": attack.epsilon,
            "size": list(attack.size),
            "target": type(attack.objective).__name__,
            "victim": type(attack.victim.network).__name__,
            "victim_fingerprint": attack.victim.fingerprint(),
            "victim_untrained": attack.victim.is_untrained,
            "data": type(data).__name__,
            "data_seed": data.seed,
            "clean_images_predicted": attack.predicted,
            "images": {role: len(dataset) for role, dataset in data.datasets.items()} | {"scored": len(self.images)},
            "images_in_split": data.images_in_split,
        }
        if len(attack.victims) > 1:
            self.metrics["ensemble"] = ", ".join(type(member.network).__name__ for member in attack.victims[1:])
        self.metrics |= attack.facts()
        with atomic_file(folder / "per_image.csv") as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.images[0]) if self.images else ["image"])
            writer.writeheader()
            writer.writerows(self.images)
        with atomic_file(folder / "metrics.json") as file:
            file.write_text(json.dumps(self.metrics | self.details, indent=2) + "\n")

    def _elapsed(self) -> float:
        return self.seconds + (time.monotonic() - self.clock if self.clock else 0.0)


def write_perturbation(perturbation: Perturbation, target: Objective, metrics: Metrics, path: Path) -> None:
    """Write a perturbation with its metrics as metadata, and with its static target if it has one."""
    metadata = {key: str(value) for key, value in metrics.items()}
    scene = torch.from_numpy(target.scene) if isinstance(target, StaticTarget) else None
    save_perturbation(perturbation, path, metadata, scene)


def callback_of(trainer: Trainer, kind: type[AnyCallback]) -> AnyCallback:
    """Return the trainer's callback of a type."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if isinstance(callback, kind))
