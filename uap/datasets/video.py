"""Frames of video files, read in order or as images of a data set."""

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
    """The metadata of a video file.

    Attributes:
        frames: number of frames, an estimate for some formats.
        frames_per_second: frame rate.
        size: height and width of the frames.
    """

    frames: int
    frames_per_second: float
    size: tuple[int, int]


def video_facts(path: Path) -> VideoFacts:
    """Return the metadata of a video file.

    Raises:
        InputError: the file is missing or not a video.
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
    """Yield every n-th frame of a video from the first on: its index, and its pixels as RGB uint8 `(H, W, 3)`.

    All frames are decoded in order, because seeking a frame by its index is not exact for every codec.

    Args:
        path: the video file.
        every: n.

    Raises:
        InputError: the file is missing or not a video, or no frame can be read.
    """
    index = -1
    with _opened(path) as video:
        while video.grab():
            index += 1
            if index % every == 0:
                decoded, frame = video.retrieve()
                if not decoded:
                    raise InputError(
                        f"Frame {index} of {path} cannot be decoded. Copy it again, or convert it to H.264.",
                        kind="unusable_file",
                    )
                yield index, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    if index < 0:
        raise InputError(
            f"{path} has no frame that can be read. It is damaged: copy or download it again.", kind="unusable_file"
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    check_file(path, "video")
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            check_readable(path)
            raise InputError(
                f"{path} cannot be opened as a video. It is truncated or not a video, or OpenCV does not support its "
                "codec. Copy it again, or convert it to H.264.",
                kind="unusable_file",
            )
        yield video
    finally:
        video.release()


@dataclass(frozen=True)
class Frame(Source):
    """A decoded frame of a video.

    Attributes:
        video: the video file.
        index: index of the frame in the video.
        kept: the file of decoded frames.
        row: row of the frame in that file.
        size: height and width of the decoded frame.
    """

    video: Path
    index: int
    kept: Path
    row: int
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """The name that the frame would have as a plain file."""
        return f"{self.video.stem}_{self.index:06d}.png"

    def __str__(self) -> str:
        """Return the path for messages."""
        return f"Frame {self.index} of {self.video}, kept in {self.kept},"

    def open(self) -> Image.Image:
        """Return the image at the size of the data set."""
        count = self.size[0] * self.size[1] * 3
        return Image.fromarray(np.fromfile(self.kept, np.uint8, count, offset=self.row * count).reshape(*self.size, 3))

    def stamp(self) -> list[str | int]:
        """Return the stamp of the video file, and the index."""
        return [*stamp(self.video), self.index]


class VideoFrames(ImageFolder):
    """Every n-th frame of a video, or of the videos in a folder and its subfolders.

    If the root has folders `train`, `val` or `test`, these are the splits. Otherwise, the last share of each video is
    both `val` and `test`, and the earlier frames are `train`. The frames are not sampled randomly, because neighboring
    frames are almost identical.

    A video is decoded once. Its frames are cached at `size`, with three bytes per pixel.

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
            root: a video, or a folder of videos.
            split: `train`, `val` or `test`.
            size: height and width that frames are resized to.
            every: use every n-th frame, from the first on.
            scored_share: share of each video in `val` and `test`, if the root has no folders `train`, `val` or `test`.
            resampling: how frames are resized: `pil` averages over dropped pixels, `opencv` does not.

        Raises:
            InputError: `every` is below 1, a share outside [0, 1), or a size below 1.
        """
        super().__init__(root, split, size, scored_share, resampling=resampling)
        if every < 1:
            raise InputError(f"data.every is {every}, expected 1 or more.", setting="data.every", kind="out_of_range")
        self.every = every

    def prepare(self, num_workers: int = 0) -> None:
        """Decode the videos that are not in the cache."""
        self.read_items(self.folder(self.split))

    def stored_size(self, image: Path | Source) -> tuple[int, int]:
        """Return the height and width of the frames of the video that contains an image."""
        return video_facts(image.video).size if isinstance(image, Frame) else super().stored_size(image)

    def find_files(self, folder: Path) -> list[Path]:
        """Return the videos in a folder, or the video itself if the root is a video."""
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
        """Return a bool array `(N,)`, True for the last share of each video."""
        scored = []
        for _, frames in groupby(items, lambda item: item.name.rpartition("_")[0]):
            count = len(list(frames))
            held = max(1, round(self.scored_share * count))
            scored += [False] * (count - held) + [True] * held
        return np.array(scored)

    def find(self, path: Path | Source) -> Path | Source:
        """Return a path unchanged if it exists, else the path below `root`, or the frame of that name."""
        found = super().find(path)
        if isinstance(found, Path) and not found.exists():
            for folder in {self.folder(split) for split in SPLITS}:
                for item in self.read_items(folder):
                    if item.name == str(path):
                        return item.image
        return found

    def _decoded(self, video: Path) -> Path:
        """Return the file of the decoded frames of a video, uint8 `(N, H, W, 3)`; decode them if it does not exist."""
        settings = [stamp(video), self.every, self.size, self.resampling]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]
        kept = paths.cache_folder() / "frames" / f"{key}.rgb"
        if kept.exists():
            return kept
        count = -(-video_facts(video).frames // self.every)
        frames = read_frames(video, self.every)
        try:
            with atomic_file(kept) as unfinished, unfinished.open("wb") as file:
                for _, frame in progress(frames, f"Reading {video.name}", "frame", max(count, 0)):
                    file.write(pictures.resize_image(frame, self.size, self.resampling).tobytes())
        except OSError as error:
            raise InputError(
                f"Frames of {video} cannot be kept in {kept.parent} ({error}). Set UAP_CACHE to a folder with free "
                "space, or set a larger --data.every.",
                kind="unusable_file",
            ) from error
        return kept
