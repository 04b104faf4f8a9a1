"""Pictures of the attack on a few fixed images, at the end of a run or of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch.utils.data import default_collate

from uap.attack import UniversalAttack
from uap.callbacks.figures import attack_figure, perturbation_figure, prediction_figure
from uap.data.base import SegmentationData, data_of
from uap.errors import InputError
from uap.perturbation import tile


@dataclass(frozen=True)
class Example:
    """One image under attack; pictures uint8 (H, W, 3) RGB, masks uint8 (H, W) ids of the victim's classes."""

    name: str
    image: NDArray[np.uint8]
    adversarial_image: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    adversarial: NDArray[np.uint8]
    target: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@torch.no_grad()
def examples(attack: UniversalAttack, data: SegmentationData, count: int) -> list[Example]:
    """Return the attack on `count` of the scored images, spread evenly over the data set."""
    dataset = data.datasets["scored"]
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).astype(int)).tolist()
    batch = default_collate([dataset[index] for index in chosen])
    adversarial_images = attack.perturbation.eight_bit(batch["image"].to(attack.device))
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


def perturbation_picture(attack: UniversalAttack) -> NDArray[np.float32]:
    """Return the perturbation over a whole image, (H, W, 3) in grey levels."""
    return tile(attack.perturbation.proto.detach(), attack.size).permute(1, 2, 0).float().cpu().numpy()


@torch.no_grad()
def prediction_on_noise(attack: UniversalAttack) -> NDArray[np.uint8]:
    """Return the victim's prediction (H, W) on the perturbation over mid-grey: no image behind it."""
    grey = torch.full((1, 3, *attack.size), 128, dtype=torch.uint8, device=attack.device)
    return cast(NDArray[np.uint8], attack.victim.predict(attack.perturbation.eight_bit(grey))[0].cpu().numpy())


class Pictures(Callback):
    """Writes `pictures/*.png` into the run folder.

    For every example: all six panels of the paper's figures 3 and 5, and a second picture without photographs; and once
    the perturbation with the prediction on it alone (figure 4).
    """

    def __init__(self, images: int = 4, amplify: float = 4.0) -> None:
        """Draw `images` examples, the perturbation `amplify` times as strong (the paper: 4).

        Raises:
            InputError: no image, or a factor that is not positive.
        """
        if images < 1 or amplify <= 0:
            raise InputError(f"Pictures got images={images} and amplify={amplify}, expected 1 or more and above 0.")
        self.images = images
        self.amplify = amplify

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what was learnt."""
        self._draw(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what was evaluated; validations within a fit wait for its end."""
        if trainer.state.fn != TrainerFn.FITTING:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        attack = cast(UniversalAttack, pl_module)
        folder = Path(trainer.default_root_dir) / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        table, noise = attack.victim.table, perturbation_picture(attack)
        for e in examples(attack, data_of(trainer), self.images):
            full = attack_figure(
                e.image, e.clean, noise, e.target, e.adversarial_image, e.adversarial, table, self.amplify
            )
            full.savefig(folder / f"{e.name}.png")
            bare = prediction_figure(e.clean, noise, e.target, e.adversarial, table, self.amplify)
            bare.savefig(folder / f"{e.name}_predictions.png")
        alone = perturbation_figure(noise, prediction_on_noise(attack), table, self.amplify)
        alone.savefig(folder / "perturbation.png")
