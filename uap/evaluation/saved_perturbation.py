"""Saved perturbations with their targets, the translation of targets to other networks, and random-sign controls."""

import copy
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from uap.evaluation.experiment import build_target, config_of
from uap.objectives import Objective, PredictionObjective, StaticTarget, Untargeted
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import find_perturbation, learned_size, load_perturbation, load_scene
from uap.utils.class_tables import LabelTable
from uap.utils.errors import InputError
from uap.utils.paths import shipped
from uap.utils.plain_settings import plain_settings
from uap.victims import Victim
from uap.victims.building import build_victim


@dataclass(frozen=True)
class SavedPerturbation:
    """A perturbation and its target, in the classes of the network on which it was learned.

    Attributes:
        name: its name in tables.
        perturbation: the perturbation.
        size: height and width of the images that it fits; None for a periodic perturbation, which fits any size.
        target: the objective; a static target with its scene.
        table: the classes of the target.
        victim: fingerprint of the network on which it was learned.
        is_control: whether it consists of random signs instead of a learned perturbation.
        facts: its properties in tables.
    """

    name: str
    perturbation: Perturbation
    size: tuple[int, int] | None
    target: Objective
    table: LabelTable
    victim: str
    is_control: bool
    facts: dict[str, str]

    def identity(self) -> str:
        """Return a hash of the perturbation and its target, which does not depend on their names."""
        target = self.target
        scene = target.scene if isinstance(target, StaticTarget) else None
        aim = plain_settings(target) if scene is None else [_hash(scene), self.victim]
        proto = _hash(self.perturbation.proto.detach().cpu().numpy())
        facts = [proto, self.perturbation.epsilon, self.size, aim, self.table.names]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def target_for(self, victim: Victim, size: tuple[int, int]) -> tuple[Objective | None, str]:
        """Return the target in the classes of a network, for images of a size.

        Classes are matched by name or synonym (`uap.utils.class_tables`). Pixels of a static target are ignored if the
        network lacks their class. The scene is resized by the nearest neighbor.

        Returns:
            The target, or None if the network has none of its classes; and a note about missing classes, or "".
        """
        names = self.table.first(len(victim.table)).names
        is_own = victim.fingerprint() == self.victim and names == victim.table.names
        # the own network's outputs without a name are classes too
        ids = np.arange(256, dtype=np.uint8) if is_own else self.table.translation(victim.table)
        target, note = self.target.translated(ids, self.table, victim.table, size)
        if target is self.target and isinstance(target, PredictionObjective):
            target = copy.copy(target)
            try:
                target.bind(victim.table)
            except InputError as error:
                return None, str(error)
        return target, note


def _hash(array: NDArray[Any]) -> str:
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()


def read_saved(folder: Path, name: str) -> SavedPerturbation:
    """Read the perturbation of a run folder and its target, or a pattern that ships, such as `street128`.

    Raises:
        InputError: the folder has no finished run, or one of its files cannot be used.

    Example:
        >>> read_saved(Path("street128"), "street128").facts["target"]
        'untargeted'
    """
    if find_perturbation(folder).parent == shipped("checkpoints"):
        return _of_pattern(folder, name)
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}, and no pattern of that name ships. Give the folder of a finished run of "
            "python -m uap.fit, or a pattern such as street128.",
            setting="perturbation",
            kind="missing_file",
        )
    config, file = config_of(folder), folder / "perturbation.safetensors"
    perturbation, metadata = load_perturbation(file)
    size, tile = learned_size(perturbation, metadata), (perturbation.proto.shape[-2], perturbation.proto.shape[-1])
    victim, target = build_victim(config), build_target(config)
    if isinstance(target, StaticTarget):
        scene = load_scene(file, size)
        if scene is None:
            raise InputError(
                f"{file} has no scene of its static target. Learn it again with python -m uap.fit.",
                kind="unusable_file",
            )
        target.scene = scene.numpy()
    return SavedPerturbation(
        name=name,
        perturbation=perturbation,
        size=size if size == tile else None,
        target=target,
        table=victim.table,
        victim=victim.fingerprint(),
        is_control=False,
        facts={
            "network": ", ".join(filter(None, [type(victim.network).__name__, metadata.get("ensemble")])),
            "data": metadata.get("data", ""),
            "epsilon": f"{perturbation.epsilon:g}",
            "tile": f"{tile[0]} x {tile[1]}" + (", periodic" if size != tile else ""),
            "target": target.title,
        },
    )


def _of_pattern(pattern: Path, name: str) -> SavedPerturbation:
    """Return a pattern that ships: it is periodic and untargeted, and depends on no classes."""
    perturbation, _ = load_perturbation(pattern)
    tile, target = perturbation.proto.shape[-2:], Untargeted()
    return SavedPerturbation(
        name=name,
        perturbation=perturbation,
        size=None,
        target=target,
        table=LabelTable((), ()),
        victim="",
        is_control=False,
        facts={
            "network": "several",
            "data": f"see checkpoints/{pattern.stem}.json",
            "epsilon": f"{perturbation.epsilon:g}",
            "tile": f"{tile[0]} x {tile[1]}, periodic",
            "target": target.title,
        },
    )


def random_signs(learned: list[SavedPerturbation], seed: int) -> list[SavedPerturbation]:
    """Return controls of perturbations: epsilon times a random sign for each channel of each pixel.

    A control has the same epsilon, tile size and target as its perturbation, and shows the effect of noise with the
    same largest value. Perturbations that agree in all three share a control.

    Args:
        learned: the perturbations.
        seed: seed of the signs.
    """
    controls: dict[str, SavedPerturbation] = {}
    for each in learned:
        epsilon, shape = each.perturbation.epsilon, each.perturbation.proto.shape
        signs = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
        noise = Perturbation((shape[-2], shape[-1]), epsilon)
        noise.load_state_dict({"proto": epsilon * signs})
        facts = each.facts | {"network": "none", "data": "none"}
        control = replace(each, perturbation=noise, is_control=True, facts=facts)
        controls.setdefault(control.identity(), control)
    return _named(list(controls.values()))


def _named(controls: list[SavedPerturbation]) -> list[SavedPerturbation]:
    """Name controls by their epsilon, and also by their perturbation if several have the same epsilon."""
    names = [f"random signs, epsilon {each.perturbation.epsilon:g}" for each in controls]
    counts = Counter(names)
    return [
        replace(each, name=name if counts[name] == 1 else f"{name}, in place of {each.name}")
        for each, name in zip(controls, names, strict=True)
    ]
