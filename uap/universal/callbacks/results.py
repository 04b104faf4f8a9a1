"""What a run leaves behind: the perturbation's files, the final figures, and the table on the screen."""

import csv
import json
import math
import time
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from uap.data.datamodule import Role, SegmentationData, data_of
from uap.data.length import limited
from uap.data.predictions import predict_missing
from uap.metrics.names import images_scored
from uap.objectives import PredictionObjective, StaticTarget
from uap.universal.callbacks.success import Scores, SuccessMetrics
from uap.universal.module import UniversalAttack
from uap.universal.perturbation import Perturbation, save_perturbation
from uap.utils.atomic_file import atomic_file
from uap.utils.plots import amplified
from uap.utils.progress import progress
from uap.victims.setup_warnings import setup_warnings

PICTURE = "perturbation.png"
"""The last file that a run writes of its results."""

WELL_BELOW = 0.9
"""A perturbation whose largest entry is below this share of epsilon has not used what it may."""

Figures = dict[str, Any]
AnyCallback = TypeVar("AnyCallback", bound=Callback)


@torch.no_grad()
def score(attack: UniversalAttack, data: SegmentationData, role: Role, prefix: str) -> Scores:
    """Score the 8-bit adversarial images of one set; every rank its share, within `trainer.limit_val_batches`.

    Raises:
        InputError: the clean predictions on it, which may be made only now, cannot be kept.
    """
    attack.predicted += predict_missing(data.datasets[role], attack.victims[:1], attack.trainer)
    scores = Scores(attack, data, final=role == "scored")
    loader = data.loader(role, shuffle=False)
    batches = limited(len(loader), attack.trainer.limit_val_batches) if role == "scored" else len(loader)
    bar = progress(islice(loader, batches), f"Scoring {prefix}", "batch", batches)
    for index, batch in enumerate(bar):
        batch = attack.transfer_batch_to_device(batch, attack.device, 0)
        scores.update(batch, attack.validation_step(batch, index))
    return scores


class Results(Callback):
    """Counts what the run cost, and at its end writes the perturbation with its PNG, and the figures.

    Attributes:
        figures: the final figures and what they are of, as `metrics.json` has them; on rank 0.
        details: the rest of `metrics.json`: success by image, by class and by size.
        images: the rows of `per_image.csv`.
        other_ids: what is said if the labels are read as other ids than they hold.
    """

    def __init__(self) -> None:
        """Start at no cost."""
        self.gradient_evaluations = 0
        self.seconds = 0.0
        self.clock = 0.0
        self.validating = 0.0
        self.figures: Figures = {}
        self.details: Figures = {}
        self.images: list[dict[str, Any]] = []
        self.other_ids: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the cost so far, which a resumed run continues."""
        return {
            "gradient_evaluations": self.gradient_evaluations,
            "seconds": self._elapsed(),
            "validating": self.validating,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the cost of the run that is resumed."""
        self.gradient_evaluations = state_dict["gradient_evaluations"]
        self.seconds = state_dict["seconds"]
        self.validating = state_dict.get("validating", 0.0)  # older checkpoints have none

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and take away the mark of a run that is over: an interrupted one has left its figures."""
        self.clock = time.monotonic()
        if trainer.is_global_zero:
            (Path(trainer.default_root_dir) / PICTURE).unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images of this step on all ranks, once for each network: forward and backward in one is one."""
        networks = 1 + len(batch.get("ensemble", []))
        self.gradient_evaluations += len(batch["image"]) * networks * trainer.world_size

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score training and validation images on the last perturbation and write everything."""
        seconds = self._elapsed()
        attack, data = cast(UniversalAttack, pl_module), data_of(trainer)
        learned_from, scored = score(attack, data, "train", "training"), score(attack, data, "scored", data.split)
        figures: Figures = learned_from.compute("train") | scored.compute(data.split)
        self.images, self.details = scored.per_image(data), scored.details()
        self.other_ids = scored.other_ids()
        figures |= {
            "gradient_evaluations": self.gradient_evaluations,
            "seconds": round(seconds, 1),
            "images_per_second": round(self.gradient_evaluations / max(seconds - self.validating, 1e-9), 2),
        }
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir)
            self._write(figures, attack, data, folder)
            write_perturbation(attack.perturbation, attack.objective, self.figures, folder / "perturbation.safetensors")
            proto = attack.perturbation.proto.detach().permute(1, 2, 0).cpu().numpy()
            with atomic_file(folder / PICTURE) as file:
                Image.fromarray(amplified(proto, 127 / attack.perturbation.epsilon)).save(file)
            self._print(attack, data, folder)
            for logger in trainer.loggers:
                final = {key: value for key, value in figures.items() if key.startswith("train/")}
                logger.log_metrics(final, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the time that no image is learned from."""
        self.validating -= time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the figures of an evaluation; validations within a fit wait for its end."""
        self.validating += time.monotonic()
        if trainer.state.fn == TrainerFn.FITTING:
            return
        data = data_of(trainer)
        figures = {key: float(value) for key, value in trainer.callback_metrics.items() if "/" in key}
        folder, attack = Path(trainer.default_root_dir), cast(UniversalAttack, pl_module)
        scores = callback_of(trainer, SuccessMetrics).scores
        self.images, self.details = scores.per_image(data), scores.details()
        self.other_ids = scores.other_ids()
        self._write(figures, attack, data, folder)
        self._print(attack, data, folder)

    @staticmethod
    def are_in(folder: Path) -> bool:
        """Return whether a run has written everything: it begins with the figures and ends with the PNG."""
        return (folder / PICTURE).is_file()

    def _print(self, attack: UniversalAttack, data: SegmentationData, folder: Path) -> None:
        _print_table(self.figures, self.details["per_image"], data.split, folder)
        miou = self.figures.get(f"{data.split}/miou_clean")
        for doubt in setup_warnings(None, len(attack.victim.table), miou, self.other_ids):
            print(f"warning: {doubt}")

    def _write(self, figures: Figures, attack: UniversalAttack, data: SegmentationData, folder: Path) -> None:
        proto = attack.perturbation.proto
        self.figures = figures | {
            "epsilon": attack.perturbation.epsilon,
            "largest_entry": round(float(proto.detach().abs().max()), 4),
            "size": list(attack.size),
            "tile": list(proto.shape[-2:]),
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
            self.figures["ensemble"] = ", ".join(type(member.network).__name__ for member in attack.victims[1:])
        self.figures |= attack.figures()
        with atomic_file(folder / "per_image.csv") as place, place.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.images[0]) if self.images else ["image"])
            writer.writeheader()
            writer.writerows(self.images)
        with atomic_file(folder / "metrics.json") as place:
            place.write_text(json.dumps(self.figures | self.details, indent=2) + "\n")

    def _elapsed(self) -> float:
        return self.seconds + (time.monotonic() - self.clock if self.clock else 0.0)


def write_perturbation(perturbation: Perturbation, target: PredictionObjective, figures: Figures, path: Path) -> None:
    """Write a perturbation with its figures as metadata, and with the static target that it was learned for."""
    metadata = {key: str(value) for key, value in figures.items()}
    scene = torch.from_numpy(target.scene) if isinstance(target, StaticTarget) else None
    save_perturbation(perturbation, path, metadata, scene)


def callback_of(trainer: Trainer, kind: type[AnyCallback]) -> AnyCallback:
    """Return the trainer's callback of a type."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if isinstance(callback, kind))


def _unused(largest: float, epsilon: float) -> str:
    """Return what to say behind epsilon where a perturbation stays well below it."""
    if largest >= WELL_BELOW * math.floor(epsilon):
        return ""
    return f"   (not reached: the largest entry is {largest:.3g}; take more or larger steps)"


def _print_table(figures: Figures, per_image: Figures, split: str, folder: Path) -> None:
    columns = [prefix for prefix in dict.fromkeys(["train", split]) if any(k.startswith(f"{prefix}/") for k in figures)]
    names = dict.fromkeys(key.split("/")[1] for key in figures if "/" in key)
    titles = {"train": "training", "val": "validation", "test": "test"}
    lines = ["", " " * 18 + "".join(f"{titles[c]:>12}" for c in columns)]
    for name in names:
        values = (figures.get(f"{column}/{name}", np.nan) for column in columns)
        lines.append(f"{name.replace('_', ' '):<18}" + "".join(f"{100 * v:>10.1f} %" for v in values))
        if name == next(iter(per_image), None):  # of the scored images, which stand in the last column
            worst = f"{100 * per_image[name]['worst_decile']:>10.1f} %"
            lines.append(f"{'  worst decile':<18}{worst:>{12 * len(columns)}}")
    counts = figures["images"]  # an evaluation of the training split has scored images alone
    shown = {"scored": images_scored(counts["scored"], figures["images_in_split"]), "train": counts.get("train")}
    images = (shown["train" if column == "train" and "train" in counts else "scored"] for column in columns)
    lines.append(f"{'images':<18}" + "".join(f"{count:>12}" for count in images))
    lines += ["", f"{'epsilon':<18}{figures['epsilon']:>12g}{_unused(figures['largest_entry'], figures['epsilon'])}"]
    if figures["victim_untrained"]:
        lines.append(f"{'network':<18}{figures['victim']} with random weights: these figures say nothing")
    if "seconds" in figures:
        left_out = "" if "steps" in figures else " without validation"
        lines += [
            f"{'gradient evaluations':<22}{figures['gradient_evaluations']:>8}",
            f"{'seconds':<18}{figures['seconds']:>12g}   "
            f"({figures['images_per_second']:g} images per second{left_out})",
        ]
    lines.append("")
    files = ["perturbation.safetensors", "checkpoints/last.ckpt", "metrics.json", "per_image.csv"]
    written = ["adversarial", "pictures", *files]
    lines += [f"{Path(name).stem:<14}{folder / name}" for name in written if (folder / name).exists()]
    print("\n".join(lines), flush=True)
