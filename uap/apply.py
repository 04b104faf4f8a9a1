"""python -m uap.apply: add a perturbation to images or a video and write the adversarial images or video."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from uap.cli.arguments import side
from uap.cli.entry import run_command
from uap.datasets.pictures import open_image, resize_image
from uap.datasets.video import read_frames, video_facts
from uap.evaluation.adversarial_pictures import (
    IMAGE_ENDINGS,
    check_written,
    find_inputs,
    is_video,
    written_names,
    written_paths,
)
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import learned_size
from uap.universal.perturbation_formats import Unit, read_perturbation
from uap.utils.errors import InputError, in_message_of
from uap.utils.progress import be_quiet, progress
from uap.utils.video_file import VideoFile
from uap.victims import Victim
from uap.victims.building import build_victim, find_victim

Fit = Literal["refuse", "tile", "crop"]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Applied:
    """An image and its adversarial image, with their predictions if a victim is given.

    Attributes:
        image: uint8 `(H, W, 3)` RGB.
        adversarial: uint8 `(H, W, 3)` RGB.
        predictions: RGB pictures of the predictions on `image` and on `adversarial`; None without a victim.
        changed: share of pixels, 0 to 1, with different predictions.
    """

    image: Picture
    adversarial: Picture
    predictions: tuple[Picture, Picture] | None = None
    changed: float = 0.0

    def panel(self) -> Picture:
        """Return the clean and the adversarial image side by side, with the predictions below."""
        rows = [(self.image, self.adversarial), *([self.predictions] if self.predictions else [])]
        return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def check_fit(perturbation: Perturbation, training_size: tuple[int, int], size: tuple[int, int], fit: Fit) -> None:
    """Check that a perturbation can be added to an image of a given size.

    Args:
        perturbation: the perturbation.
        training_size: height and width of the images on which it was learned.
        size: height and width of the image.
        fit: `tile` repeats the perturbation over an image of any size, `crop` crops it to smaller images, and `refuse`
            only accepts its own size. A periodic perturbation is accepted for any size.

    Raises:
        InputError: the perturbation does not fit.
    """
    tile = perturbation.proto.shape[-2:]
    if training_size != tile or tile == size or fit == "tile":
        return
    if fit == "refuse":
        raise InputError(
            f"The image has {size[0]} x {size[1]} pixels, the perturbation {tile[0]} x {tile[1]}, and it is not "
            f"periodic. Set --size {tile[0]} {tile[1]} to resize the images, or --fit tile or --fit crop.",
            kind="conflict",
        )
    if size[0] > tile[0] or size[1] > tile[1]:
        raise InputError(
            f"The image has {size[0]} x {size[1]} pixels, more than the {tile[0]} x {tile[1]} of the perturbation, "
            "which can only be cropped to smaller images. Set --fit tile, or --size to resize the images.",
            kind="conflict",
        )


class Applier:
    """Adds a perturbation to images and, with a victim, predicts the clean and the adversarial image."""

    def __init__(
        self,
        perturbation: Perturbation,
        training_size: tuple[int, int],
        fit: Fit,
        size: tuple[int, int] | None,
        victim: Victim | None,
    ) -> None:
        """Move the perturbation and the victim to the GPU if there is one.

        Args:
            perturbation: the perturbation to add.
            training_size: height and width of the images on which it was learned.
            fit: as in `check_fit`.
            size: height and width to which images are resized first; None keeps their size.
            victim: the network that predicts the images; None for no predictions.
        """
        self.perturbation = perturbation
        self.training_size = training_size
        self.fit: Fit = fit
        self.size = size
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.perturbation.to(self.device)
        self.victim = victim.to(self.device) if victim else None
        self.checked: set[tuple[int, int]] = set()

    def __call__(self, pixels: Picture) -> Applied:
        """Return the adversarial image and the predictions of an image uint8 `(H, W, 3)` RGB."""
        pixels = resize_image(pixels, self.size, "pil") if self.size else pixels
        size = (pixels.shape[0], pixels.shape[1])
        if size not in self.checked:
            check_fit(self.perturbation, self.training_size, size, self.fit)
            self.perturbation.image_size = None
            if self.victim:
                self.victim.check(size)
            self.checked.add(size)
        image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].to(self.device)
        adversarial = self.perturbation.eight_bit(image)
        shown = adversarial[0].permute(1, 2, 0).cpu().numpy()
        if self.victim is None:
            return Applied(pixels, shown)
        before, after = (self.victim.predict(x)[0].cpu().numpy() for x in (image, adversarial))
        painted = (self.victim.table.paint(before), self.victim.table.paint(after))
        return Applied(pixels, shown, painted, float((before != after).mean()))


def apply_to_image(applier: Applier, path: Path, stem: Path) -> float:
    """Write STEM.png and the pictures of both predictions; return the share of pixels whose prediction changed."""
    picture = open_image(path, upright=True)
    applied = applier(np.asarray(picture.convert("RGB")))
    _save(applied.adversarial, stem, ".png", picture)
    for pixels, ending in zip(applied.predictions or (), IMAGE_ENDINGS[1:], strict=False):
        _save(pixels, stem, ending)
    return applied.changed


def _save(pixels: Picture, stem: Path, ending: str, original: Image.Image | None = None) -> None:
    """Write a PNG file, with the EXIF data and the color profile of the original image if it is given."""
    kept: dict[str, Any] = {}
    if original:
        kept = {"exif": original.getexif()}
        if original.mode in ("RGB", "RGBA", "P"):  # a profile of another color space would change the colors
            kept["icc_profile"] = original.info.get("icc_profile")
    Image.fromarray(pixels).save(stem.with_name(stem.name + ending), **kept)


def apply_to_video(applier: Applier, path: Path, stem: Path) -> float:
    """Write STEM.mkv (lossless) and STEM_side_by_side.mp4; return the mean share of pixels whose prediction changed."""
    facts, changed = video_facts(path), []
    with (
        VideoFile(stem.with_name(stem.name + ".mkv"), facts.frames_per_second, lossless=True) as adversarial,
        VideoFile(stem.with_name(stem.name + "_side_by_side.mp4"), facts.frames_per_second) as panel,
    ):
        frames = progress(read_frames(path), path.name, "frame", max(facts.frames, 0))
        for _, frame in frames:
            applied = applier(frame)
            adversarial.write(applied.adversarial)
            panel.write(applied.panel())
            changed.append(applied.changed)
    return float(np.mean(changed))


def parse(args: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        "python -m uap.apply",
        allow_abbrev=False,
        description="Add a perturbation to images or videos. Images are written as 8-bit PNG files with the name and "
        "the EXIF data of the original. A video is written as a lossless video (FFV1), and as a second video that "
        "shows the clean and the adversarial frames side by side.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGES_OR_VIDEO", help="files or folders")
    parser.add_argument("--perturbation", type=Path, required=True,
                        help="perturbation.safetensors or checkpoint of a run, or an RGB array (3, H, W), (H, W, 3) or "
                        "(1, 3, H, W): .npy, .pt, .png (128 is no change)")  # fmt: skip
    parser.add_argument("--unit", choices=get_args(Unit), help="unit of an array: grey levels (0 to 255), or 0 to 1")
    parser.add_argument("--epsilon", type=float, help="largest absolute value of an array, in grey levels")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--victim", help="network whose predictions are written beside the images: a configuration in "
                        "configs/victim/, or a YAML file with model.victim, such as config.yaml of a run")  # fmt: skip
    parser.add_argument("--weights", help="weight file of the victim, instead of the one in its configuration")
    parser.add_argument("--size", type=side, nargs=2, metavar=("H", "W"), help="resize the images to this size first")
    parser.add_argument(
        "--fit", choices=("refuse", "tile", "crop"), default="refuse",
        help="how a perturbation that is not periodic is added to an image of another size "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="print only results, no progress")
    given = parser.parse_args(args)
    if given.weights is not None and given.victim is None:
        raise InputError(
            "--weights is given without --victim. Give both, or neither.", setting="victim", kind="missing_setting"
        )
    return given


def main(args: list[str] | None = None) -> None:
    """Write the adversarial images and videos, and print a summary."""
    given = parse(args)
    if given.quiet:
        be_quiet()
    victim = build_victim(find_victim(given.victim), given.weights) if given.victim is not None else None
    perturbation, metadata = read_perturbation(given.perturbation, given.unit, given.epsilon)
    size = tuple(given.size) if given.size else None
    applier = Applier(perturbation, learned_size(perturbation, metadata), given.fit, size, victim)
    inputs = find_inputs(given.inputs, given.out)
    stems = [given.out / name for name in written_names([name for _, name in inputs])]
    paths = [path for path, _ in inputs]
    files = [
        written_paths(stem, is_video=is_video(path), predicted=victim is not None)
        for path, stem in zip(paths, stems, strict=True)
    ]
    check_written(paths, [file for each in files for file in each])
    changed = []
    bar = progress(inputs, "Applying", "file")
    for (path, _), stem in zip(bar, stems, strict=True):
        write = apply_to_video if is_video(path) else apply_to_image
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            with in_message_of(str(path)):
                changed.append(write(applier, path, stem))
        except OSError as error:
            raise InputError(
                f"{stem} cannot be written ({error}). Set another --out.", setting="out", kind="unusable_file"
            ) from error
    print(f"{len(inputs)} {'file' if len(inputs) == 1 else 'files'} read, results in {given.out}")
    if victim:
        print(f"the prediction changed on {100 * float(np.mean(changed)):.1f} % of the pixels")


if __name__ == "__main__":
    run_command(main)
