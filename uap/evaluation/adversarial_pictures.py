"""Which files `uap.apply` reads, and which it writes of each."""

from collections import Counter
from pathlib import Path

from uap.datasets import ImageFolder, VideoFrames
from uap.datasets.files import ends_in, files_below, say_left_out
from uap.utils.errors import InputError

IMAGE_ENDINGS = (".png", "_prediction_clean.png", "_prediction.png")
VIDEO_ENDINGS = (".mkv", "_side_by_side.mp4")
"""What is written of an image and of a video, after the name of its file."""


def find_inputs(places: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Return the images and videos among files and in folders: each path, and its name below the folder that was given.

    What lies in the folder `out` is left out where that is inside a folder of inputs: results of a run before.

    Raises:
        InputError: something is not there, of no known kind, or there is nothing at all.
    """
    endings, found = ImageFolder.endings + VideoFrames.endings, []
    for place in places:
        if not place.exists():
            raise InputError(f"There is no {place}. Give images, videos, or folders of them.")
        if not place.is_dir() and not (place.is_file() and ends_in(place, endings)):
            raise InputError(f"{place} is neither an image nor a video: known are {', '.join(endings)}. Convert it.")
        files = [place] if place.is_file() else files_below(place)
        base = place.parent if place.is_file() else place
        if out.resolve() == base.resolve():
            raise InputError(f"--out {out} is the folder of the originals, which would be mixed up. Set another --out.")
        files = [path for path in files if not path.resolve().is_relative_to(out.resolve())]
        found += [(path, path.relative_to(base)) for path in files if ends_in(path, endings)]
        say_left_out(place, (path for path in files if not ends_in(path, endings)), "images or videos")
    if not found:
        raise InputError(f"No images or videos in {', '.join(map(str, places))}: known are {', '.join(endings)}.")
    return found


def written_names(names: list[Path]) -> list[Path]:
    """Return the names without their endings; files that differ in nothing else keep them."""
    bare = [name.with_suffix("") for name in names]
    counts = Counter(bare)
    return [name if counts[short] > 1 else short for name, short in zip(names, bare, strict=True)]


def is_video(path: Path) -> bool:
    """Return whether a file is a video, by its ending."""
    return path.suffix.lower() in VideoFrames.endings


def written_paths(stem: Path, *, is_video: bool, predicted: bool) -> list[Path]:
    """Return every file that is written of one input."""
    endings = VIDEO_ENDINGS if is_video else IMAGE_ENDINGS[: 3 if predicted else 1]
    return [stem.with_name(stem.name + ending) for ending in endings]


def check_written(originals: list[Path], written: list[Path]) -> None:
    """Check that no original would be written over, and nothing twice.

    Raises:
        InputError: something would.
    """
    kept = {original.resolve() for original in originals}
    resolved = [path.resolve() for path in written]
    counts = Counter(resolved)
    for path, place in zip(written, resolved, strict=True):
        if place in kept:
            raise InputError(f"{path} is an original and would be written over. Set another --out.")
        if counts[place] > 1:
            raise InputError(
                f"Two of the inputs would be written to {path}. Give the folder that holds them, or one at a time."
            )
