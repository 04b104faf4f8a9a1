"""Writing video files, frame by frame."""

from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from uap.utils.errors import InputError

DEFAULT_RATE = 25.0
"""Frames per second of a video that does not say."""


class VideoFile:
    """A video that grows by a frame at a time; a context manager that closes it."""

    def __init__(self, path: Path, frames_per_second: float, *, lossless: bool = False) -> None:
        """Write to `path`: FFV1, which keeps every grey level, or MPEG-4, which every player shows."""
        self.path = path
        self.rate = frames_per_second if frames_per_second > 0 else DEFAULT_RATE
        self.code = cv2.VideoWriter.fourcc(*("FFV1" if lossless else "mp4v"))
        self.lossless = lossless
        self.writer: cv2.VideoWriter | None = None

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, RGB uint8 (H, W, 3), as large as the first.

        Raises:
            InputError: the file cannot be written.
        """
        if not self.lossless:  # MPEG-4 keeps colors at half the size
            frame = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]
        if self.writer is None:
            self.writer = cv2.VideoWriter(str(self.path), self.code, self.rate, frame.shape[1::-1])
        if not self.writer.isOpened():
            raise InputError(
                f"The video {self.path} cannot be written. Set another folder, or check the disk.", kind="unusable_file"
            )
        self.writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.release()
