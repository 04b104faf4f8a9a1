"""StreetScenes: synthetic street scenes, written in the file layout of Cityscapes."""

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from uap.datasets import pictures
from uap.datasets import synthetic as scenes
from uap.datasets.base import Split
from uap.datasets.cityscapes import IMAGE, LABELS, Cityscapes
from uap.datasets.sources import Item
from uap.utils.atomic_file import atomic_file
from uap.utils.class_tables import CITYSCAPES_LABEL_IDS
from uap.utils.errors import InputError
from uap.utils.progress import progress

RENDERED_SIZE = (256, 512)
"""Height and width at which scenes are rendered; `size` resizes them like any other image."""

FIRST_INDEX: dict[Split, int] = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""The first scene index of each split. Splits have different indices, so that their scenes differ."""

MOST_SCENES = FIRST_INDEX["val"]
"""Largest number of scenes of a split; more would overlap with the next split."""

MANIFEST = "streetscenes.json"

INSTANCES = "_gtFine_instanceIds.png"
"""The ending of the files of instance ids of Cityscapes: 1000 times the label id plus the number of the object."""


class StreetScenes(Cityscapes):
    """Synthetic street scenes with 13 of Cityscapes' classes, 512 x 256, in any number.

    Scenes are rendered into `root` when they are first needed.

    Example:
        >>> scenes = StreetScenes("scenes", split="train", scenes=2)
        >>> scenes[0]["image"].shape, scenes[0]["labels"].shape
        (torch.Size([3, 256, 512]), torch.Size([256, 512]))
    """

    train_splits: tuple[Split, ...] = ("train",)

    def __init__(
        self,
        root: str = "data/streetscenes",
        split: Split = "val",
        size: tuple[int, int] = RENDERED_SIZE,
        scenes: int = 192,
        scored_scenes: int = 48,
        scene_seed: int = 0,
        resampling: pictures.Resampling = "pil",
    ) -> None:
        """Describe the scenes.

        Args:
            root: folder to which the scenes are written.
            split: `train`, `val` or `test`.
            size: height and width to which scenes are resized.
            scenes: number of scenes of the split `train`.
            scored_scenes: number of scenes of the splits `val` and `test`.
            scene_seed: seed of the scenes.
            resampling: how images are resized: `pil` averages over dropped pixels, `opencv` does not.

        Raises:
            InputError: a number of scenes below 1 or above `MOST_SCENES`, or a seed or size out of range.
        """
        super().__init__(root, split, size, resampling)
        counts = {"scenes": (scenes, 1), "scored_scenes": (scored_scenes, 1), "scene_seed": (scene_seed, 0)}
        for name, (value, least) in counts.items():
            if value < least:
                raise InputError(
                    f"data.{name} is {value}, expected {least} or more.", setting=f"data.{name}", kind="out_of_range"
                )
            if name != "scene_seed" and value > MOST_SCENES:
                raise InputError(
                    f"data.{name} is {value}, expected {MOST_SCENES} or less.",
                    setting=f"data.{name}",
                    kind="out_of_range",
                )
        self.scenes = scenes
        self.scored_scenes = scored_scenes
        self.scene_seed = scene_seed

    @property
    def count(self) -> int:
        """The number of scenes of the split."""
        return self.scenes if self.split == "train" else self.scored_scenes

    def prepare(self, num_workers: int = 0) -> None:
        """Render the scenes that are missing in `root`, with a number of processes.

        Raises:
            InputError: the folder contains other scenes, or cannot be written.
        """
        self._check_manifest()
        missing = [i for i in range(self.count) if not self._is_rendered(i)]
        if missing:
            self._render_all(missing, num_workers)

    def _render_all(self, missing: list[int], num_workers: int) -> None:
        """Render scenes in worker processes: threads are slow for many small shapes."""
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # a forked process lacks the threads of OpenCV and would wait for them forever
        try:
            rendered: DataLoader[None] = DataLoader(
                missing,  # type: ignore[arg-type]  # a list can be a data set
                batch_size=None,
                collate_fn=self._render,  # type: ignore[arg-type]  # of one index
                num_workers=num_workers,
            )
            list(progress(rendered, f"Rendering {self.split} scenes", "scene", len(missing)))
        finally:
            cv2.setNumThreads(threads)

    def find_items(self) -> list[Item]:
        """Return the first `count` scenes of the split."""
        return super().find_items()[: self.count]

    def instance_file(self, item: Item) -> Path:
        """Return the file of instance ids of a scene; it is written when it is first needed.

        Args:
            item: one of `items`.

        Raises:
            InputError: the file cannot be written.
        """
        index = int(item.name.rsplit("_", 1)[-1])
        path = self._path(INSTANCES, index)
        if not path.exists():
            place = FIRST_INDEX[self.split] + index
            _, train_ids, numbers = scenes.render_instances(self.scene_seed, place, RENDERED_SIZE)
            label_ids = np.array(CITYSCAPES_LABEL_IDS, np.uint16)[train_ids]
            _write_png(path, np.where(numbers > 0, 1000 * label_ids + numbers, label_ids))
        return path

    def _check_manifest(self) -> None:
        manifest = self.root / MANIFEST
        expected = {"seed": self.scene_seed, "version": scenes.VERSION, "size": list(RENDERED_SIZE)}
        try:
            if not manifest.exists():
                with atomic_file(manifest) as file:
                    file.write_text(json.dumps(expected))
            found = json.loads(manifest.read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"Street scenes cannot be kept in {self.root} ({error}). Set another --data.root.",
                setting="data.root",
                kind="unusable_file",
            ) from error
        if found != expected:
            raise InputError(
                f"{self.root} holds scenes rendered with {found}, expected {expected}. "
                "Set another --data.root, or remove that folder.",
                setting="data.root",
                kind="conflict",
            )

    def _path(self, suffix: str, index: int) -> Path:
        folder = "leftImg8bit" if suffix == IMAGE else "gtFine"
        return self.root / folder / self.split / "streetscenes" / f"streetscenes_000000_{index:06d}{suffix}"

    def _is_rendered(self, index: int) -> bool:
        return all(self._path(suffix, index).exists() for suffix in (IMAGE, LABELS))

    def _render(self, index: int) -> None:
        image, train_ids = scenes.render_scene(self.scene_seed, FIRST_INDEX[self.split] + index, RENDERED_SIZE)
        label_ids = np.array(CITYSCAPES_LABEL_IDS, np.uint8)[train_ids]
        train_id_path = self._path(LABELS.replace("labelIds", "labelTrainIds"), index)
        _write_png(train_id_path, train_ids)
        _write_png(self._path(LABELS, index), label_ids)
        _write_png(self._path(IMAGE, index), image[..., ::-1])  # last, so that every image has labels


def _write_png(path: Path, pixels: NDArray[np.unsignedinteger]) -> None:
    """Write a PNG file atomically, so that every existing file is complete."""
    try:
        with atomic_file(path) as file:
            if not cv2.imwrite(str(file), pixels):
                raise OSError("OpenCV wrote nothing")
    except OSError as error:
        raise InputError(f"{path} could not be written ({error}). Is the disk full?", kind="unusable_file") from error
