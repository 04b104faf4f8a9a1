"""Helpers for the tests of clean predictions: a network that counts images, and a small data set."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from PIL import Image
from pytorch_lightning import Trainer
from torch import Tensor

from tests.helpers import SIZE, Brightness, make_camvid, save
from uap.data import CamVid
from uap.data.clean_predictions import make_predictions, predictions_path
from uap.data.samples import Samples
from uap.victims import Victim

DARK = (1, 4)
"""The training images without a bright pixel."""


class Counting(Brightness):
    """A network that counts the images in its forward passes and raises an error at the image `fails_at`."""

    def __init__(self, threshold: float = 128.0) -> None:
        super().__init__(threshold)
        self.seen = 0
        self.fails_at: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        if self.fails_at is not None and self.seen >= self.fails_at:
            raise RuntimeError("out of memory")
        return super().forward(x)


def victim_of(network: Counting | None = None, **settings: Any) -> Victim:
    return Victim(network or Counting(), classes=["dark", "bright"], **settings)


def trainer() -> Trainer:
    strategy = SimpleNamespace(barrier=lambda name: None)
    alone = {"local_rank": 0, "num_devices": 1, "node_rank": 0, "world_size": 1}
    return cast(Trainer, SimpleNamespace(**alone, strategy=strategy))


def kept(dataset: Samples, victim: Victim, trainer: Trainer) -> Path:
    path = predictions_path(dataset, victim)
    make_predictions(dataset, victim, path, trainer)
    return path


def cached(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache" / "predictions").rglob("*") if path.is_file())


def stored(path: Path, level: int) -> None:
    """Write a grey image; the length of its file does not depend on the level."""
    Image.fromarray(np.full((*SIZE, 3), level, np.uint8)).save(path, compress_level=0)


def make_root(tmp_path: Path) -> Path:
    """Make a small CamVid; some training images and one scored image have no bright pixel."""
    root = make_camvid(tmp_path / "camvid")
    for i in DARK:
        save(root / "train" / f"frame_{i:03d}.png", np.full((*SIZE, 3), 60 + i, np.uint8))
    save(root / "val" / "frame_001.png", np.full((*SIZE, 3), 40, np.uint8))
    return root


def data_in(root: Path, **settings: Any) -> CamVid:
    data = CamVid(str(root), **{"size": SIZE, "batch_size": 4, "num_workers": 0, **settings})
    data.setup("fit")
    return data
