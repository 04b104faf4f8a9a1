"""The input and output files of `uap.apply`."""

from collections import Counter
from pathlib import Path

from uap.datasets import ImageFolder, VideoFrames
from uap.datasets.files import ends_in, files_below, say_left_out
from uap.utils.errors import InputError

IMAGE_ENDINGS = (".png", "_prediction_clean.png", "_prediction.png")
VIDEO_ENDINGS = (".mkv", "_side_by_side.mp4")
"""The suffixes of the files that are written for a video; `IMAGE_ENDINGS` are those for an image."""


def find_inputs(paths: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Return the images and videos in files and folders: the path of each, and the path relative to its folder.

    Files in the folder `out` are left out if it is inside a folder of inputs, because they are earlier results.

    Args:
        paths: images, videos, and folders of them.
        out: folder to which results are written.

    Raises:
        InputError: a path does not exist or is of an unknown type, or there are no images or videos.
    """
    endings, found = ImageFolder.endings + VideoFrames.endings, []
    for given in paths:
        if not given.exists():
            raise InputError(f"There is no {given}. Give images, videos, or folders of them.", kind="missing_file")
        if not given.is_dir() and not (given.is_file() and ends_in(given, endings)):
            raise InputError(
                f"{given} is neither an image nor a video: known are {', '.join(endings)}. Convert it.",
                kind="unusable_file",
            )
        files = [given] if given.is_file() else files_below(given)
        base = given.parent if given.is_file() else given
        if out.resolve() == base.resolve():
            raise InputError(
                f"--out {out} is the folder of the originals. Set another --out.", setting="out", kind="conflict"
            )
        files = [path for path in files if not path.resolve().is_relative_to(out.resolve())]
        found += [(path, path.relative_to(base)) for path in files if ends_in(path, endings)]
        say_left_out(given, (path for path in files if not ends_in(path, endings)), "images or videos")
    if not found:
        raise InputError(
            f"No images or videos in {', '.join(map(str, paths))}: known are {', '.join(endings)}.", kind="missing_file"
        )
    return found


def written_names(names: list[Path]) -> list[Path]:
    """Return the names without their suffixes, unless two files differ only in the suffix."""
    bare = [name.with_suffix("") for name in names]
    counts = Counter(bare)
    return [name if counts[short] > 1 else short for name, short in zip(names, bare, strict=True)]


def is_video(path: Path) -> bool:
    """Return whether a file is a video, by its suffix."""
    return path.suffix.lower() in VideoFrames.endings


def written_paths(stem: Path, *, is_video: bool, predicted: bool) -> list[Path]:
    """Return the paths of all files that are written for one input.

    Args:
        stem: their path without a suffix.
        is_video: whether the input is a video.
        predicted: whether predictions are written too.
    """
    endings = VIDEO_ENDINGS if is_video else IMAGE_ENDINGS[: 3 if predicted else 1]
    return [stem.with_name(stem.name + ending) for ending in endings]


def check_written(originals: list[Path], written: list[Path]) -> None:
    """Check that no original would be overwritten, and that no file would be written twice.

    Raises:
        InputError: a file would be overwritten.
    """
    kept = {original.resolve() for original in originals}
    resolved = [path.resolve() for path in written]
    counts = Counter(resolved)
    for path, target in zip(written, resolved, strict=True):
        if target in kept:
            raise InputError(
                f"{path} is an original and would be overwritten. Set another --out.", setting="out", kind="conflict"
            )
        if counts[target] > 1:
            raise InputError(
                f"Two of the inputs would be written to {path}. Give the folder that contains them, or one at a time.",
                kind="conflict",
            )
