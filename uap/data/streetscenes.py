"""StreetScenes: scenes that the program draws, written once in the layout and naming of Cityscapes."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from uap.data.cityscapes import IMAGE, LABELS, Cityscapes
from uap.data.datamodule import Split, TrainSplit
from uap.data.sources import Item
from uap.datasets import synthetic as scenes
from uap.utils.atomic_file import atomic_file
from uap.utils.class_tables import CITYSCAPES_LABEL_IDS
from uap.utils.errors import InputError
from uap.utils.progress import progress

DRAWN_SIZE = (256, 512)
"""Height and width that scenes are drawn at; `size` resizes them like any other image."""

FIRST_INDEX: dict[Split, int] = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""Scenes of different splits never share an index, so no validation scene is ever trained on."""

MOST_SCENES = FIRST_INDEX["val"]
"""More of a split would be those of the next one."""

MANIFEST = "streetscenes.json"


class StreetScenes(Cityscapes):
    """Drawn street scenes with 13 of Cityscapes' classes, 512 x 256, as many as are asked for."""

    train_splits: tuple[TrainSplit, ...] = ("train",)

    def __init__(
        self,
        root: str = "data/streetscenes",
        size: tuple[int, int] = DRAWN_SIZE,
        scenes: int = 192,
        scored_scenes: int = 48,
        scene_seed: int = 0,
        **settings: Any,
    ) -> None:
        """Describe the scenes; `prepare_data` draws those that are not on disk yet.

        Args:
            root: the folder that the scenes are written to.
            size: height and width that scenes are resized to.
            scenes: number of training scenes.
            scored_scenes: number of scenes of the split that is scored; `eval_images` scores some of them.
            scene_seed: of the drawing.
            settings: those of `SegmentationData`.

        Raises:
            InputError: a number of scenes below 1 or above `MOST_SCENES`, a seed below 0, or what `SegmentationData`
                refuses.
        """
        super().__init__(root, size, **settings)
        counts = {"scenes": (scenes, 1), "scored_scenes": (scored_scenes, 1), "scene_seed": (scene_seed, 0)}
        for name, (value, least) in counts.items():
            if value < least:
                raise InputError(f"data.{name} is {value}, expected {least} or more.")
            if name != "scene_seed" and value > MOST_SCENES:
                raise InputError(f"data.{name} is {value}, expected {MOST_SCENES} or less.")
        self.scenes = scenes
        self.scored_scenes = scored_scenes
        self.scene_seed = scene_seed

    def count(self, split: Split | TrainSplit) -> int:
        """Return the number of scenes of a split."""
        return self.scenes if split == "train" else self.scored_scenes

    def prepare_data(self) -> None:
        """Draw what is not there yet; Lightning calls this on one process of each node.

        Raises:
            InputError: the folder holds other scenes, or cannot be written.
        """
        self._check_manifest()
        for split in sorted({"train", self.split}):
            missing = [i for i in range(self.count(split)) if not self._is_drawn(split, i)]
            if missing:
                self._draw_all(split, missing)

    def _draw_all(self, split: Split, missing: list[int]) -> None:
        """Draw scenes in worker processes: threads would wait for each other between the many small strokes."""
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # a process that is forked has none of OpenCV's threads, and would wait for them
        try:
            drawn: DataLoader[None] = DataLoader(
                missing,  # type: ignore[arg-type]  # a list is a data set too
                batch_size=None,
                collate_fn=partial(self._draw, split),
                num_workers=self.num_workers,
            )
            list(progress(drawn, f"Drawing {split} scenes", "scene", len(missing)))
        finally:
            cv2.setNumThreads(threads)

    def items(self, split: Split | TrainSplit) -> list[Item]:
        """Return the first `count` scenes of a split."""
        return super().items(split)[: self.count(split)]

    def _check_manifest(self) -> None:
        manifest = self.root / MANIFEST
        expected = {"seed": self.scene_seed, "version": scenes.VERSION, "size": list(DRAWN_SIZE)}
        try:
            if not manifest.exists():
                with atomic_file(manifest) as file:
                    file.write_text(json.dumps(expected))
            found = json.loads(manifest.read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"Street scenes cannot be kept in {self.root} ({error}). Set another --data.root."
            ) from error
        if found != expected:
            raise InputError(
                f"{self.root} holds scenes drawn with {found}, expected {expected}. "
                "Set another --data.root, or remove that folder."
            )

    def _path(self, suffix: str, split: Split, index: int) -> Path:
        folder = "leftImg8bit" if suffix == IMAGE else "gtFine"
        return self.root / folder / split / "streetscenes" / f"streetscenes_000000_{index:06d}{suffix}"

    def _is_drawn(self, split: Split, index: int) -> bool:
        return all(self._path(suffix, split, index).exists() for suffix in (IMAGE, LABELS))

    def _draw(self, split: Split, index: int) -> None:
        image, train_ids = scenes.draw_scene(self.scene_seed, FIRST_INDEX[split] + index, DRAWN_SIZE)
        label_ids = np.array(CITYSCAPES_LABEL_IDS, np.uint8)[train_ids]
        train_id_path = self._path(LABELS.replace("labelIds", "labelTrainIds"), split, index)
        _write_png(train_id_path, train_ids)
        _write_png(self._path(LABELS, split, index), label_ids)
        _write_png(self._path(IMAGE, split, index), image[..., ::-1])  # last: no image is ever without labels


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture, so that a scene that is there is whole."""
    try:
        with atomic_file(path) as file:
            if not cv2.imwrite(str(file), pixels):
                raise OSError("OpenCV wrote nothing")
    except OSError as error:
        raise InputError(f"{path} could not be written ({error}). Is the disk full?") from error
