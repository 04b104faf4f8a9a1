"""Adversarial images that are made on one network and used on another one."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from uap.attacks.base import Attack, Cost
from uap.objectives.base import Goal, Model, Objective, PredictionObjective
from uap.objectives.joint_targets import JointTargets
from uap.objectives.sampling import goal_of, joined
from uap.utils.atomic_file import atomic_file
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError
from uap.victims import Ensemble, Victim


@dataclass(frozen=True)
class _Made:
    """The adversarial images `(N, 3, H, W)`, the goal on the source, and what `Cost.converged` says."""

    adversarial: Tensor
    goal: Goal
    converged: Tensor | None


class Transferred(Attack):
    """Uses the adversarial images of another network, the source: the attack does not see the evaluated network.

    The images are those of the attack on the source (Arnab et al., CVPR 2018, sec. 6, arXiv 1711.09856). Evaluate with
    `objective`: it scores a target in the classes of the evaluated network, and an untargeted attack by the
    predictions of the evaluated network.

    Args:
        attack: the attack.
        source: the network on which it is made; an `Ensemble` with `JointTargets` for several networks.
        objective: the goal of the attack on the source.
        seed: seed of objectives that sample. The sample of an image depends on its pixels, not on its batch.
        folder: a folder that keeps the adversarial images, 12 bytes a pixel, so that they are made once for all
            networks; the caller names a folder for each source, attack, objective and seed. None keeps one batch.

    Example:
        >>> from uap.attacks import FGSM
        >>> from uap.evaluation import evaluate
        >>> from uap.objectives import Untargeted
        >>> _ = torch.manual_seed(0)
        >>> source, other = (Victim(torch.nn.Conv2d(3, 2, 1), classes=["road", "sky"]) for _ in range(2))
        >>> transferred = Transferred(FGSM(2), source, Untargeted())
        >>> images = torch.full((2, 3, 16, 16), 9.0)
        >>> result = evaluate(other, images, transferred, transferred.objective, progress=False)
        >>> result.metrics["float"]["max_norm"]
        2.0
    """

    def __init__(
        self, attack: Attack, source: Victim | Ensemble, objective: Objective, seed: int = 0, folder: Path | None = None
    ) -> None:
        """Describe the attack."""
        self.attack = attack
        self.source = source
        self.seed = seed
        self.folder = folder
        self.epsilon = attack.epsilon
        self.own_objective = objective
        of_one = objective.objective if isinstance(objective, JointTargets) else objective
        self.objective = of_one if objective.sign < 0 else SourceTarget(self)
        self._last: tuple[list[str], _Made] | None = None
        self._spent = Cost()

    def perturb(
        self,
        victim: Model,
        images: Tensor,
        goal: Goal,
        objective: Objective,
        clean: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return the adversarial images of the source; the network and the goal are not used."""
        made = self.made(images, clean=clean if victim is self.source else None)
        steps = torch.zeros(len(images), dtype=torch.int64)
        self.cost, self._spent = replace(self._spent, steps=steps, converged=made.converged), Cost()
        return made.adversarial

    def made(self, images: Tensor, logits: Tensor | None = None, clean: Tensor | None = None) -> _Made:
        """Return the adversarial images and the goal on the source.

        Args:
            images: `(N, 3, H, W)` float32, 0 to 255.
            logits: what the source returns for them, if that is known.
            clean: what the source predicts, if that is known.
        """
        names = [hashlib.sha256(image.cpu().numpy().tobytes()).hexdigest()[:32] for image in images]
        if self._last is None or self._last[0] != names:
            kept = [self._read(name, images.device) for name in names]
            missing = [row for row, one in enumerate(kept) if one is None]
            if missing:
                known = (None if one is None else one[missing] for one in (logits, clean))
                new = self._make(images[missing], *known)
                for position, row in enumerate(missing):
                    kept[row] = _rows(new, slice(position, position + 1))
                    self._write(names[row], kept[row])
            self._last = names, _joined(one for one in kept if one is not None)
        return self._last[1]

    def _make(self, images: Tensor, logits: Tensor | None, clean: Tensor | None) -> _Made:
        """Attack the source."""
        if logits is None and (clean is None or not isinstance(self.own_objective, PredictionObjective)):
            with torch.no_grad():
                logits = self.source(images).float()
        clean = logits.argmax(1) if logits is not None else clean
        with torch.no_grad():
            goal = goal_of(self.own_objective, self.source, images, self.seed, logits=logits, prediction=clean)
        generator = torch.Generator().manual_seed(self.seed)
        adversarial = self.attack.run(self.source, images, goal, self.own_objective, cast(Tensor, clean), generator)
        self._spent = self.attack.cost
        return _Made(adversarial, goal, self.attack.cost.converged)

    def _read(self, name: str, device: torch.device) -> _Made | None:
        if self.folder is None:
            return None
        try:
            kept = load_file(self.folder / f"{name}.safetensors", str(device))
            goal = Goal(kept["labels"].long(), kept.get("region"), self.own_objective.sign)
            return _Made(kept["adversarial"], goal, kept.get("converged"))
        except (OSError, SafetensorError, KeyError):
            return None  # missing or damaged: it is made again

    def _write(self, name: str, made: _Made | None) -> None:
        if self.folder is None or made is None:
            return
        tensors = {
            "adversarial": made.adversarial,
            "labels": made.goal.labels.to(torch.uint8),
            "region": made.goal.region,
            "converged": made.converged,
        }
        path = self.folder / f"{name}.safetensors"
        try:
            with atomic_file(path) as file:
                save_file({key: t.contiguous().cpu() for key, t in tensors.items() if t is not None}, file)
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"Adversarial images cannot be kept in {self.folder} ({error}). Set another --out, or fewer --images.",
                setting="out",
                kind="unusable_file",
            ) from error


class SourceTarget(Objective):
    """The target of an attack on a source, in the classes of the evaluated network.

    Classes are matched by name or synonym (`uap.utils.class_tables`); locations whose target has no class in the
    evaluated network are ignored. Hidden classes are those of the evaluated network's own prediction, as in
    `uap transfer` of saved perturbations.

    Args:
        transferred: the attack on the source.

    Example:
        >>> from uap.attacks import FGSM
        >>> from uap.objectives import LeastLikely
        >>> road_sky, sky_road = (Victim(torch.nn.Identity(), classes=c) for c in (["road", "sky"], ["sky", "road"]))
        >>> isinstance(Transferred(FGSM(2), road_sky, LeastLikely()).objective, SourceTarget)
        True
    """

    def __init__(self, transferred: Transferred) -> None:
        """Take the metrics of the objective on the source."""
        self.transferred = transferred
        self.metrics = transferred.own_objective.metrics  # type: ignore[misc]  # those of the instance
        self.has_region = transferred.own_objective.has_region  # type: ignore[misc]
        self.hidden_classes: tuple[int, ...] = ()

    def prepare(
        self, victim: Model, images: Tensor, clean_logits: Tensor, generator: torch.Generator | None = None
    ) -> Goal:
        """Return the target of the source; see `Objective.prepare`."""
        source, own = self.transferred.source, self.transferred.own_objective
        goal = self.transferred.made(images, clean_logits if victim is source else None).goal
        table = getattr(victim, "table", None)
        if table is None:
            return goal
        same = table.names == source.table.names
        ids = np.arange(256, dtype=np.uint8) if same else source.table.translation(table)
        size = (images.shape[-2], images.shape[-1])
        translated, _ = own.translated(ids, source.table, table, size)
        if translated is None:
            return replace(goal, labels=torch.full_like(goal.labels, IGNORE))
        if translated is not own:  # its goal is one of the evaluated network's prediction, such as to hide a class
            own_goal = translated.prepare(victim, images, clean_logits, generator)
            self.hidden_classes = getattr(translated, "hidden_classes", ())
            return own_goal
        labels = torch.from_numpy(ids).to(goal.labels.device).long()[goal.labels.clamp(0, IGNORE)]
        return replace(goal, labels=labels)


def _rows(made: _Made, rows: slice) -> _Made:
    goal = replace(
        made.goal,
        labels=made.goal.labels[rows],
        region=None if made.goal.region is None else made.goal.region[rows],
    )
    return _Made(made.adversarial[rows], goal, None if made.converged is None else made.converged[rows])


def _joined(parts: Iterable[_Made]) -> _Made:
    every = list(parts)
    converged = [one.converged for one in every if one.converged is not None]
    adversarial = torch.cat([one.adversarial for one in every])
    return _Made(adversarial, joined([one.goal for one in every]), torch.cat(converged) if converged else None)
