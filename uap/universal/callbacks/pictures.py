"""Plots of the attack on a few images at the end of a run or an evaluation."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch.utils.data import default_collate

from uap.data.datamodule import SegmentationData, data_of
from uap.datasets import subset
from uap.universal.attack_module import AttackModule
from uap.universal.module import UniversalAttack
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError
from uap.utils.plots import attack_figure, perturbation_figure, prediction_figure


@dataclass(frozen=True)
class Example:
    """An image under attack.

    Attributes:
        name: name of the image.
        image: `(H, W, 3)` uint8 RGB, the clean image.
        adversarial_image: `(H, W, 3)` uint8 RGB.
        clean: `(H, W)` uint8, class ids that the victim predicts on the clean image.
        adversarial: `(H, W)` uint8, class ids that the victim predicts on the adversarial image.
        target: `(H, W)` uint8, class ids of the target.
        labels: `(H, W)` uint8, class ids of the labels, 255 = ignored or without labels.
    """

    name: str
    image: NDArray[np.uint8]
    adversarial_image: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    adversarial: NDArray[np.uint8]
    target: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def change(self) -> NDArray[np.float32]:
        """The change of the image, `(H, W, 3)` in grey levels."""
        return self.adversarial_image.astype(np.float32) - self.image

    def masks(self) -> dict[str, NDArray[np.uint8]]:
        """Return the class ids `(H, W)` by name; `labels` only if the image has labels."""
        masks = {"prediction": self.clean, "adversarial_prediction": self.adversarial, "target": self.target}
        return masks | ({"labels": self.labels} if (self.labels != IGNORE).any() else {})


@torch.no_grad()
def examples(attack: AttackModule, data: SegmentationData, count: int) -> list[Example]:
    """Return the examples of `count` scored images, evenly spread over the data set."""
    dataset = data.datasets["scored"]
    chosen = subset.evenly(len(dataset), count).tolist()
    batch = default_collate([dataset[index] for index in chosen])
    adversarial_images = attack.adversarial(attack.transfer_batch_to_device(batch, attack.device, 0))
    adversarial = attack.victim.predict(adversarial_images).cpu().numpy()
    translation = data.table.translation(attack.victim.table)
    return [
        Example(
            name=dataset.items[index].name,
            image=batch["image"][i].permute(1, 2, 0).numpy(),
            adversarial_image=adversarial_images[i].permute(1, 2, 0).cpu().numpy(),
            clean=batch["prediction"][i].numpy(),
            adversarial=adversarial[i],
            target=batch["target"][i].numpy(),
            labels=translation[batch["labels"][i].numpy()],
        )
        for i, index in enumerate(chosen)
    ]


def universal_change(attack: AttackModule) -> NDArray[np.float32] | None:
    """Return the change of every image, `(H, W, 3)` in grey levels; None if each image has its own perturbation."""
    change = attack.change()
    return None if change is None else change.permute(1, 2, 0).cpu().numpy()


@torch.no_grad()
def prediction_on_noise(attack: UniversalAttack) -> NDArray[np.uint8]:
    """Return the victim's prediction `(H, W)` on the perturbation added to a uniform grey image."""
    grey = torch.full((1, 3, *attack.size), 128, dtype=torch.uint8, device=attack.device)
    return cast(NDArray[np.uint8], attack.victim.predict(attack.perturbation.eight_bit(grey))[0].cpu().numpy())


def write_panels(found: list[Example], table: LabelTable, folder: Path) -> None:
    """Write the images and masks of examples as separate files at the size of the data, without titles.

    Args:
        found: the examples. The folder `panels/<name>/` gets `image`, `adversarial_image` and the painted masks.
        table: the classes of the victim.
        folder: the folder that gets `panels/`, and `legend.json` with the colors of the classes in the masks.
    """
    seen: set[int] = set()
    for example in found:
        panels = {"image": example.image, "adversarial_image": example.adversarial_image}
        for name, mask in example.masks().items():
            panels[name] = table.paint(mask)
            seen |= set(np.unique(mask).tolist())
        own = folder / "panels" / example.name
        own.mkdir(parents=True, exist_ok=True)
        for name, picture in panels.items():
            Image.fromarray(picture).save(own / f"{name}.png")
    legend = {name: color for c, (name, color) in enumerate(zip(table.names, table.colors, strict=True)) if c in seen}
    (folder / "legend.json").write_text(json.dumps(legend) + "\n")


class Pictures(Callback):
    """Writes the plots in `pictures/` of the run folder.

    For every example, it writes a plot with the six panels of figures 3 and 5 of Metzen et al., a plot without
    photographs, and each panel as a file. It also writes a plot of the perturbation with the prediction on it (figure
    4). If each image has its own perturbation, the plots of an example show its perturbation.
    """

    def __init__(self, images: int = 4, amplify: float = 4.0) -> None:
        """Set the number of examples and the amplification.

        Args:
            images: number of examples.
            amplify: factor by which plots amplify the perturbation; 4 in the paper.

        Raises:
            InputError: the number of examples is below 1, or the factor is not positive.
        """
        if images < 1 or amplify <= 0:
            raise InputError(
                f"Pictures got images={images} and amplify={amplify}, expected 1 or more and above 0.",
                kind="out_of_range",
            )
        self.images = images
        self.amplify = amplify

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the plots of a run."""
        self._write(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the plots of an evaluation; validations during a fit have none."""
        if trainer.state.fn != TrainerFn.FITTING:
            self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        attack = cast(AttackModule, pl_module)
        folder = Path(trainer.default_root_dir) / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        table, found = attack.victim.table, examples(attack, data_of(trainer), self.images)
        write_panels(found, table, folder)
        universal = universal_change(attack)
        title = "target" if attack.objective.sign > 0 else "classes to leave"
        for e in found:
            noise = e.change if universal is None else universal
            full = attack_figure(
                e.image, e.clean, noise, e.target, e.adversarial_image, e.adversarial, table, self.amplify, title
            )
            full.savefig(folder / f"{e.name}.png")
            bare = prediction_figure(e.clean, noise, e.target, e.adversarial, table, self.amplify, title)
            bare.savefig(folder / f"{e.name}_predictions.png")
        if universal is not None:
            alone = perturbation_figure(
                universal, prediction_on_noise(cast(UniversalAttack, attack)), table, self.amplify
            )
            alone.savefig(folder / "perturbation.png")
