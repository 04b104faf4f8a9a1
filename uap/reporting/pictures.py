"""The pictures of the runs, embedded in the page, with a slider between clean and adversarial."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from uap.reporting.labels import Label, labels
from uap.reporting.run import Run
from uap.utils.errors import InputError

LONGEST_SIDE = 1024
"""Longest side of a picture on the page, in pixels; larger pictures are scaled down."""

PAIRS = [("image", "adversarial_image", "image"), ("prediction", "adversarial_prediction", "prediction")]
"""The pairs of pictures under a slider: names of the clean and the adversarial picture, and the title."""

STILLS = {"target": "target", "labels": "true labels"}
"""The pictures without a slider, and their titles."""

PHOTOGRAPHS = {"image", "adversarial_image"}


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, with its alternative text, and its width and height in pixels."""

    source: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Pair:
    """A clean and an adversarial picture under a slider; `title` says what they show."""

    title: str
    clean: Picture
    adversarial: Picture


@dataclass(frozen=True)
class Captioned:
    """A picture with its caption; `style` is the CSS class of its figure."""

    picture: Picture
    caption: str
    style: str = ""


@dataclass(frozen=True)
class Panel:
    """The pictures of an example of one run: pairs under its slider, and stills.

    The label is that of the run; None if it is the only one of the page.
    """

    label: Label | None
    pairs: list[Pair]
    stills: list[Captioned]


@dataclass(frozen=True)
class Example:
    """An image by name, with one slider for the pictures of all runs."""

    name: str
    panels: list[Panel]


@dataclass(frozen=True)
class Figures:
    """Pictures of one run with captions; the label is None if it is the only run of the page."""

    label: Label | None
    figures: list[Captioned]


@dataclass(frozen=True)
class Gallery:
    """The examples, and the figures of runs that have no separate pictures."""

    examples: list[Example]
    older: list[Figures]


def picture(path: Path, alt: str, photograph: bool) -> Picture:
    """Return a picture for the page.

    A photograph becomes a JPEG with full color resolution, since the perturbation is fine and colored. Pictures with
    few colors stay PNG.

    Raises:
        InputError: the file is missing, or is not a PNG.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file. Remove it or run again.", kind="unusable_file")
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            image = opened.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be read as a picture ({error}). Remove it or run again.", kind="unusable_file"
        ) from error
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS if photograph else Image.Resampling.NEAREST)
    file = io.BytesIO()
    if photograph:
        image.save(file, "JPEG", quality=85, subsampling=0)
    else:
        image.save(file, "PNG", optimize=True)
    return Picture(_data_uri(file.getvalue(), "jpeg" if photograph else "png"), alt, image.width, image.height)


def embedded(path: Path, alt: str) -> Picture:
    """Return a PNG file of any size for the page, as it is."""
    with Image.open(path) as opened:
        width, height = opened.size
    return Picture(_data_uri(path.read_bytes(), "png"), alt, width, height)


def gallery(runs: list[Run]) -> Gallery:
    """Return the examples, each with one slider for all runs. Runs without separate pictures get their figures."""
    names = dict.fromkeys(name for run in runs for name in run.examples)
    examples = [
        Example(name, [_panel(run.examples[name], name, label) for run, label in _titled(runs) if name in run.examples])
        for name in names
    ]
    older = [Figures(label, _figures(run)) for run, label in _titled(runs) if not run.examples]
    return Gallery(examples, [run for run in older if run.figures])


def legend(runs: list[Run]) -> list[tuple[str, str]]:
    """Return the classes and their colors in CSS, without duplicates."""
    entries = dict.fromkeys((name, tuple(rgb)) for run in runs for name, rgb in run.legend.items())
    return [(name, f"rgb({', '.join(map(str, rgb))})") for name, rgb in entries]


def perturbations(runs: list[Run]) -> list[Figures]:
    """Return the perturbation of each run, and the network's prediction on the perturbation alone."""
    shown = {
        "perturbation.png": ("The perturbation, amplified to full contrast", "noise"),
        "pictures/perturbation.png": ("The prediction on the perturbation over plain grey", "paper"),
    }
    found = [
        Figures(
            label,
            [
                Captioned(picture(run.folder / file, f"{caption}: {run.name}", photograph=True), caption, style)
                for file, (caption, style) in shown.items()
                if (run.folder / file).exists()
            ],
        )
        for run, label in _titled(runs)
    ]
    return [run for run in found if run.figures]


def _titled(runs: list[Run]) -> list[tuple[Run, Label | None]]:
    """Return the runs with their labels; a single run needs none."""
    return list(zip(runs, labels(runs), strict=True)) if len(runs) > 1 else [(run, None) for run in runs]


def _panel(pictures: dict[str, Path], name: str, label: Label | None) -> Panel:
    pairs = [
        Pair(
            what,
            picture(pictures[clean], f"Clean {what}, {name}", clean in PHOTOGRAPHS),
            picture(pictures[adversarial], f"Adversarial {what}, {name}", clean in PHOTOGRAPHS),
        )
        for clean, adversarial, what in PAIRS
        if clean in pictures and adversarial in pictures
    ]
    stills = [
        Captioned(picture(pictures[key], f"The {what}, {name}", photograph=False), what)
        for key, what in STILLS.items()
        if key in pictures
    ]
    return Panel(label, pairs, stills)


def _figures(run: Run) -> list[Captioned]:
    return [
        Captioned(picture(path, f"Figure of {path.stem}", photograph=True), path.stem, "paper")
        for path in sorted((run.folder / "pictures").glob("*.png"))
        if path.stem != "perturbation" and not path.stem.endswith("_predictions")
    ]


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
