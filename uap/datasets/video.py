"""Frames of video files: read one after the other, or as the images of a data set."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uap.datasets import pictures
from uap.datasets.base import Split
from uap.datasets.image_folder import SPLITS, ImageFolder, names_of
from uap.datasets.sources import Item, Source, stamp
from uap.datasets.unreadable import check_readable
from uap.utils import paths
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.paths import check_file
from uap.utils.progress import progress


class VideoFacts(NamedTuple):
    """What a video file says of itself; `frames` is an estimate in some formats."""

    frames: int
    frames_per_second: float
    size: tuple[int, int]


def video_facts(path: Path) -> VideoFacts:
    """Return the number of frames, their rate, and their height and width.

    Raises:
        InputError: the file is missing or no video.
    """
    with _opened(path) as video:
        frames, rate, height, width = (
            video.get(key)
            for key in (
                cv2.CAP_PROP_FRAME_COUNT,
                cv2.CAP_PROP_FPS,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FRAME_WIDTH,
            )
        )
    return VideoFacts(int(frames), rate, (int(height), int(width)))


def read_frames(path: Path, every: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield every n-th frame of a video from the first on: its index, and its pixels as RGB uint8 (H, W, 3).

    The way that is exact for every codec: to seek a frame by its index is not.

    Raises:
        InputError: the file is missing or no video, or not one frame can be read.
    """
    index = -1
    with _opened(path) as video:
        while video.grab():
            index += 1
            if index % every == 0:
                decoded, frame = video.retrieve()
                if not decoded:
                    raise InputError(
                        f"Frame {index} of {path} cannot be decoded. Copy it again, or convert it to H.264."
                    )
                yield index, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    if index < 0:
        raise InputError(f"{path} has no frame that can be read. It is damaged: copy or download it again.")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    check_file(path, "video")
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            check_readable(path)
            raise InputError(
                f"{path} cannot be opened as a video. It is truncated, no video, or of a codec that OpenCV does not "
                "read: copy it again, or convert it to H.264."
            )
        yield video
    finally:
        video.release()


@dataclass(frozen=True)
class Frame(Source):
    """A frame of a video: the `row`-th in the file `kept`, which holds those that were decoded before."""

    video: Path
    index: int
    kept: Path
    row: int
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """The name of a file that would hold the frame."""
        return f"{self.video.stem}_{self.index:06d}.png"

    def __str__(self) -> str:
        """Return the place as messages show it."""
        return f"Frame {self.index} of {self.video}, kept in {self.kept},"

    def open(self) -> Image.Image:
        """Return the picture at the data's size."""
        count = self.size[0] * self.size[1] * 3
        return Image.fromarray(np.fromfile(self.kept, np.uint8, count, offset=self.row * count).reshape(*self.size, 3))

    def stamp(self) -> list[str | int]:
        """Return what the video's file says, and the index."""
        return [*stamp(self.video), self.index]


class VideoFrames(ImageFolder):
    """Every n-th frame of a video, or of the videos in a folder and the folders in it.

    With folders `train`, `val` or `test` in the root, these are the splits. Else the last share of each video is scored
    and what comes before is learned from: neighboring frames are all but equal, so that a draw would score what was
    learned.

    A video is decoded once from its beginning to its end, and its frames are kept at `size` in the cache folder:
    as many bytes as pixels, times three.

    Example:
        >>> VideoFrames("drive.mp4", split="val", every=25).every
        25
    """

    kind = "videos"
    endings = (
        ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".flv", ".m2ts", ".mts",
        ".ogv",
    )  # fmt: skip

    def __init__(
        self,
        root: str = "data/video.mp4",
        split: Split = "val",
        size: tuple[int, int] = (256, 512),
        every: int = 10,
        scored_share: float = 0.2,
        resampling: pictures.Resampling = "pil",
    ) -> None:
        """Describe the videos.

        Args:
            root: a video, or a folder of them.
            split: `train`, `val` or `test`.
            size: height and width that frames are resized to.
            every: use the first of so many frames.
            scored_share: share of each video in `val` and `test`, if the root has no folders `train`, `val` or `test`.
            resampling: how frames are resized: `pil` averages over dropped pixels, `opencv` does not.

        Raises:
            InputError: `every` is below 1, a share that is not from 0 to below 1, or a size below 1.
        """
        super().__init__(root, split, size, scored_share, resampling=resampling)
        if every < 1:
            raise InputError(f"data.every is {every}, expected 1 or more.")
        self.every = every

    def prepare(self, num_workers: int = 0) -> None:
        """Decode the videos that were not decoded before."""
        self.read_items(self.folder(self.split))

    def stored_size(self, image: Path | Source) -> tuple[int, int]:
        """Return the height and width of the frames of an image's video."""
        return video_facts(image.video).size if isinstance(image, Frame) else super().stored_size(image)

    def find_files(self, folder: Path) -> list[Path]:
        """Return the videos in a folder, or the one that is given in its place."""
        return [folder] if folder.is_file() else super().find_files(folder)

    def read_items(self, folder: Path) -> list[Item]:
        """Return the frames of the videos in a folder, video by video."""
        videos, items = self.find_files(folder), []
        for name, video in zip(names_of(videos, folder), videos, strict=True):
            kept = self._decoded(video)
            for row in range(kept.stat().st_size // (self.size[0] * self.size[1] * 3)):
                index = row * self.every
                items.append(Item(f"{name}_{index:06d}", Frame(video, index, kept, row, self.size), None))
        return items

    def is_scored(self, items: list[Item]) -> NDArray[np.bool_]:
        """Return (N,), True for the last share of each video."""
        scored = []
        for _, frames in groupby(items, lambda item: item.name.rpartition("_")[0]):
            count = len(list(frames))
            held = max(1, round(self.scored_share * count))
            scored += [False] * (count - held) + [True] * held
        return np.array(scored)

    def find(self, place: Path | Source) -> Path | Source:
        """Return a path as it stands where it exists, else under the data's root, else the frame of that name."""
        found = super().find(place)
        if isinstance(found, Path) and not found.exists():
            for folder in {self.folder(split) for split in SPLITS}:
                for item in self.read_items(folder):
                    if item.name == str(place):
                        return item.image
        return found

    def _decoded(self, video: Path) -> Path:
        """Return the file of a video's frames, uint8 (N, H, W, 3), made where it is not there."""
        settings = [stamp(video), self.every, self.size, self.resampling]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]
        kept = paths.cache_folder() / "frames" / f"{key}.rgb"
        if kept.exists():
            return kept
        count = -(-video_facts(video).frames // self.every)
        frames = read_frames(video, self.every)
        try:
            with atomic_file(kept) as place, place.open("wb") as file:
                for _, frame in progress(frames, f"Reading {video.name}", "frame", max(count, 0)):
                    file.write(pictures.resize_image(frame, self.size, self.resampling).tobytes())
        except OSError as error:
            raise InputError(
                f"Frames of {video} cannot be kept in {kept.parent} ({error}). Set UAP_CACHE to a folder with room, or "
                "a larger --data.every."
            ) from error
        return kept
