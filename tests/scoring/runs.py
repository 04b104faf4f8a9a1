"""Helpers that write run folders with a brightness network, small images and a given perturbation."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from tests.helpers import SIZE
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import save_perturbation

THRESHOLD = 128.5
"""A threshold that no mean of three grey levels is equal to."""


def config(
    root: Path,
    *,
    classes: list[str],
    threshold: float = THRESHOLD,
    size: tuple[int, int] = SIZE,
    hide: list[str] | None = None,
) -> dict[str, Any]:
    """Return an experiment on the small CamVid; classes after the first two are never predicted."""
    network = {"class_path": "tests.helpers.Brightness", "init_args": {"threshold": threshold, "classes": len(classes)}}
    victim = {"class_path": "uap.victims.Victim", "init_args": {"network": network, "classes": classes}}
    data = {"root": str(root), "size": list(size), "batch_size": 3, "num_workers": 0}
    static = {"class_path": "uap.objectives.StaticTarget", "init_args": {"image": "train/frame_000.png"}}
    dynamic = {"class_path": "uap.objectives.HideClasses", "init_args": {"hide": hide}}
    return {
        "data": {"class_path": "uap.data.CamVid", "init_args": data},
        "model": {"victim": victim, "objective": dynamic if hide else static},
    }


def noise(seed: int = 0, tile: tuple[int, int] = SIZE, epsilon: float = 60.0) -> NDArray[np.float32]:
    """Return a perturbation `(3, h, w)` within epsilon that brightens some pixels and darkens others."""
    rng = np.random.default_rng(seed)
    return (epsilon * np.sign(rng.standard_normal(tile)) * rng.uniform(0.5, 1, (3, *tile))).astype(np.float32)


def make_run(
    folder: Path,
    settings: dict[str, Any],
    proto: NDArray[np.float32],
    scene: NDArray[np.uint8] | None = None,
    epsilon: float = 60.0,
) -> Path:
    """Write config.yaml and perturbation.safetensors as a run does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    perturbation = Perturbation((proto.shape[1], proto.shape[2]), epsilon)
    perturbation.load_state_dict({"proto": torch.from_numpy(proto)})
    metadata = {"size": str(settings["data"]["init_args"]["size"]), "data": "CamVid"}
    save_perturbation(
        perturbation, folder / "perturbation.safetensors", metadata, None if scene is None else torch.from_numpy(scene)
    )
    return folder


def block_scene(size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Return a scene of class 0 whose left half is class 1."""
    scene = np.zeros(size, np.uint8)
    scene[:, : size[1] // 2] = 1
    return scene


def perturbed(images: NDArray[np.uint8], proto: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return images `(N, H, W, 3)` plus the tiled noise in 8 bits, without the code under test."""
    height, width = images.shape[1:3]
    tiled = np.tile(proto.transpose(1, 2, 0), (height, width, 1))[:height, :width]
    return np.clip(np.rint(images.astype(np.float64) + tiled), 0, 255).astype(np.uint8)


def bright(images: NDArray[np.uint8], threshold: float = THRESHOLD) -> NDArray[np.uint8]:
    """Return the prediction `(N, H, W)` of the brightness network on images `(N, H, W, 3)`."""
    predicted: NDArray[np.uint8] = (images.astype(np.float64).mean(-1) > threshold).astype(np.uint8)
    return predicted
