"""Image-dependent attacks with the settings of a universal attack, as its upper bound."""

import hashlib
import time
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from uap.attacks import Attack, named_attack
from uap.data.batch import Batch
from uap.data.datamodule import data_of
from uap.objectives import PredictionObjective, StaticTarget
from uap.universal.adversarial_files import AdversarialFiles
from uap.universal.attack_module import AttackModule
from uap.universal.perturbation import Perturbation
from uap.utils.errors import InputError
from uap.utils.progress import progress
from uap.utils.quantize import quantize
from uap.utils.sampling import image_generator

LARGEST = 255.0
"""Bound of the change by an attack without an epsilon."""


class ImageAttack(AttackModule):
    """Learns a separate perturbation for each scored image (Metzen et al., ICCV 2017, sec. 3.2).

    A validation attacks the images batch by batch and writes them to `adversarial/` in the run folder. The files are
    scored, so that a run that is stopped and restarted has the same metrics.
    """

    def __init__(
        self,
        *,
        steps: int = 60,
        attack: str | None = None,
        tile: tuple[int, int] | None = None,
        random_shift: bool = False,
        random_scale: tuple[float, float] | None = None,
        random_crop: tuple[int, int] | None = None,
        **settings: Any,
    ) -> None:
        """Describe the attack.

        Args:
            steps: number of steps for each image; 60 in the paper.
            attack: name of an attack in `uap.attacks.ATTACKS`, whose algorithm and default settings replace steps, loss
                and optimizer; the objective stays. None for the configured steps.
            tile: not used; it is a setting in configurations of universal attacks.
            random_shift: not used, like `tile`.
            random_scale: not used, like `tile`.
            random_crop: not used, like `tile`.
            settings: settings of `AttackModule`.

        Raises:
            InputError: a number of steps below 1, an unknown attack, an ensemble, or what `AttackModule` refuses.
        """
        super().__init__(**settings)
        if steps < 1:
            raise InputError(f"steps is {steps}, expected 1 or more.", setting="model.steps", kind="out_of_range")
        if len(self.victims) > 1:
            raise InputError(
                f"model.ensemble has {len(self.victims) - 1} networks, but a single image is attacked on one network. "
                "Leave them out with --model.ensemble null.",
                setting="model.ensemble",
                kind="not_supported",
            )
        self.attack = attack
        self.algorithm = None if attack is None else self._algorithm(attack)
        self.steps = steps if self.algorithm is None else getattr(self.algorithm, "steps", 1)
        self.taken = 0
        self.largest_change = 0
        self.scored: dict[str, None] = {}

    def _algorithm(self, name: str) -> Attack:
        """Return the algorithm of a named attack.

        Raises:
            InputError: there is none of that name, or the name stands for another objective than the configured one.
        """
        row = named_attack(name)
        algorithm = row.build(self.epsilon)
        own, wanted, given = (type(thing).__name__ for thing in (algorithm, row.objective(), self.objective))
        if name != own and wanted != given:
            raise InputError(
                f"attack is {name}, which is {own} with {wanted}, but the objective is {given}. Set "
                f"--model.objective uap.objectives.{wanted}, or another --attack.",
                setting="model.attack",
                kind="conflict",
            )
        return algorithm

    @property
    def largest_allowed(self) -> float | None:
        """The largest change of a pixel value in grey levels; None for an attack without such a bound."""
        return self.epsilon if self.algorithm is None else self.algorithm.epsilon

    @property
    def progress(self) -> float:
        """The share of finished steps on the current batch, 0 to 1."""
        return self.taken / self.steps

    def setup(self, stage: str) -> None:
        """Predict the clean images, and find existing adversarial images."""
        super().setup(stage)
        if self.algorithm is None:
            self.check_reach(self.steps)
        self.files = AdversarialFiles(Path(self.trainer.default_root_dir) / "adversarial", self.identity())
        items = data_of(self.trainer).datasets["scored"].items
        done = sum(self.files.has(item.name) for item in items)
        rank_zero_info(
            f"Attacking {len(items) - done} images, {done} were done before. If this run is stopped, start it again "
            f"with --trainer.default_root_dir {self.trainer.default_root_dir} to continue."
        )

    def identity(self) -> dict[str, Any]:
        """Return the settings that an adversarial image depends on, as plain values."""
        shared = super().identity()
        is_random = not (isinstance(self.objective, PredictionObjective) and self.loss.has_gradient_at_clean_image)
        own: dict[str, Any] = {
            "steps": self.steps,
            **({"attack": self.attack} if self.attack else {}),
            **({"seed": data_of(self.trainer).seed} if is_random else {}),
            "resampling": data_of(self.trainer).datasets["scored"].images.resampling,
        }
        if isinstance(self.objective, StaticTarget) and self.objective.scene is not None:
            own["scene"] = hashlib.sha256(self.objective.scene.tobytes()).hexdigest()[:16]
        return shared | own

    def on_validation_epoch_start(self) -> None:
        """Start without images."""
        self.largest_change = 0
        self.scored = {}

    def adversarial(self, batch: Batch) -> Tensor:
        """Return the adversarial images `(N, 3, H, W)` uint8 from their files; missing files are computed."""
        names = self._names(batch)
        missing = [row for row, name in enumerate(names) if not self.files.has(name)]
        if missing:
            start = time.monotonic()
            learned = self.learn(_rows(batch, missing)).cpu()
            seconds = (time.monotonic() - start) / len(missing)
            facts = [{"seconds": seconds, **own} for own in self._cost(len(missing))]
            rows = zip(missing, learned, facts, strict=True)
            self.files.write({names[row]: (image, of) for row, image, of in rows})
        pairs = zip(names, batch["image"].cpu(), strict=True)
        adversarial = torch.stack(
            [self.files.read(name, image, self.largest_allowed or LARGEST) for name, image in pairs]
        )
        self.scored |= dict.fromkeys(names)
        self.largest_change = max(
            self.largest_change, int((adversarial.int() - batch["image"].cpu().int()).abs().max())
        )
        return adversarial.to(batch["image"].device)

    @torch.enable_grad()
    def learn(self, batch: Batch) -> Tensor:
        """Attack the images of a batch separately.

        Returns:
            The adversarial images `(N, 3, H, W)` uint8.

        Raises:
            InputError: a gradient is not finite.
        """
        images = batch["image"]
        if self.algorithm is not None:
            goal, clean = self.goal(images, batch), batch["prediction"].long()
            generator = torch.Generator().manual_seed(data_of(self.trainer).seed)
            adversarial = self.algorithm.run(self.victim, images.float(), goal, self.objective, clean, generator)
            return quantize(images, adversarial, self.algorithm.epsilon)
        goal = self.goal(images, batch)
        own = [Perturbation(self.size, self.epsilon, self.parametrization).to(images.device) for _ in images]
        optimizer, schedule = self.moved_by(own, self.steps)
        goal, self.taken = self.loss.prepare(goal, self.victim, images.float()), 0
        if not self.loss.has_gradient_at_clean_image:
            for perturbation, image in zip(own, images, strict=True):
                perturbation.start_at_random_(image_generator(data_of(self.trainer).seed, image))
        for _ in progress(range(self.steps), f"Attacking {len(own)} images", "step"):
            optimizer.zero_grad()
            adversarial = torch.cat([add(image[None]) for add, image in zip(own, images, strict=True)])
            logits = self.loss.output(self.victim, adversarial)
            goal = self.objective.refresh(goal, logits.detach())
            losses = self.image_losses(logits, goal, self.progress)
            # a sum, so that the gradient of an image does not depend on the batch; in half precision, the gradient of a
            # loss that is divided by the pixel count would underflow
            (losses.sum() * images[0, 0].numel()).backward()  # type: ignore[no-untyped-call]
            self._check_finite(own)
            optimizer.step()
            schedule.step()
            self.taken += 1
            for perturbation in own:
                perturbation.project_(self.bound())
        return torch.cat([add.eight_bit(image[None]) for add, image in zip(own, images, strict=True)])

    def _cost(self, images: int) -> list[dict[str, float]]:
        """Return the number of gradients of each image of the last batch, and whether its attack converged."""
        if self.algorithm is None:
            return [{"gradients": float(self.steps)}] * images
        cost = self.algorithm.cost
        found: list[dict[str, float]] = [{"gradients": float(steps)} for steps in cost.steps]
        if cost.converged is None:
            return found
        return [own | {"converged": float(value)} for own, value in zip(found, cost.converged, strict=True)]

    def _check_finite(self, own: list[Perturbation]) -> None:
        gradients = [perturbation.parameter.grad for perturbation in own]
        if not all(gradient is not None and gradient.isfinite().all() for gradient in gradients):
            raise InputError(
                f"The gradient is not finite at step {self.taken} of the attack on an image. Check the network's "
                "weights and normalization, or set --trainer.precision 32-true.",
                kind="not_finite",
            )

    def change(self) -> None:
        """Return None: each image has its own perturbation."""

    def facts(self) -> dict[str, Any]:
        """Return the largest change and the total cost of the attack on the scored images, for `metrics.json`."""
        seconds, gradients = (sum(self._facts(key)) for key in ("seconds", "gradients"))
        evaluations, converged = round(gradients), self._facts("converged")
        split = data_of(self.trainer).split
        return {
            "epsilon": self.largest_allowed,
            "largest_entry": self.largest_change,
            **({f"{split}/converged": sum(converged) / len(self.scored)} if converged else {}),
            **({"attack": self.attack} if self.attack else {}),
            "tile": list(self.size),
            "steps": self.steps,
            "gradient_evaluations": evaluations,
            "seconds": round(seconds, 1),
            "images_per_second": round(evaluations / max(seconds, 1e-9), 2),
        }

    def _facts(self, key: str) -> list[float]:
        """Return the numbers of the attacks on the scored images whose files have them."""
        found = (self.files.fact(name, key) for name in self.scored)
        return [value for value in found if value is not None]

    def _names(self, batch: Batch) -> list[str]:
        items = data_of(self.trainer).datasets["scored"].items
        return [items[index].name for index in batch["index"].tolist()]


def _rows(batch: Batch, rows: list[int]) -> Batch:
    tensors = cast(dict[str, Tensor], batch)
    return cast(Batch, {name: values[rows] for name, values in tensors.items()})
