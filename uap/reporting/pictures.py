"""The pictures of the runs, embedded in the page, with a slider between clean and adversarial."""

import base64
import io
from pathlib import Path

from PIL import Image

from uap.reporting.chart import color
from uap.reporting.markup import Markup, tag
from uap.reporting.run import Run
from uap.utils.errors import InputError

LONGEST_SIDE = 1024
"""Longest side of a picture on the page, in pixels; larger pictures are scaled down."""

PAIRS = [("image", "adversarial_image", "image"), ("prediction", "adversarial_prediction", "prediction")]
"""The pairs of pictures under a slider: names of the clean and the adversarial picture, and the title."""

STILLS = {"target": "target", "labels": "true labels"}
"""The pictures without a slider, and their titles."""

PHOTOGRAPHS = {"image", "adversarial_image"}


def data_uri(path: Path, photograph: bool) -> tuple[str, int, int]:
    """Return a picture as a data URI with its width and height.

    A photograph becomes a JPEG with full color resolution, since the perturbation is fine and colored. Pictures with
    few colors stay PNG.

    Raises:
        InputError: the file is missing, or is not a PNG.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file. Remove it or run again.")
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            picture = opened.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture ({error}). Remove it or run again.") from error
    resampling = Image.Resampling.LANCZOS if photograph else Image.Resampling.NEAREST
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), resampling)
    file = io.BytesIO()
    if photograph:
        picture.save(file, "JPEG", quality=85, subsampling=0)
    else:
        picture.save(file, "PNG", optimize=True)
    kind = "jpeg" if photograph else "png"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}", picture.width, picture.height


def picture(path: Path, alt: str, photograph: bool) -> Markup:
    """Return an image element."""
    source, width, height = data_uri(path, photograph)
    return tag("img", src=source, alt=alt, width=width, height=height)


def gallery(runs: list[Run]) -> Markup | None:
    """Return the examples, each with one slider for all runs. Runs without separate pictures get their figures."""
    names = dict.fromkeys(name for run in runs for name in run.examples)
    rows = [_example(runs, name) for name in names]
    figures = [_figures(run, i, len(runs) > 1) for i, run in enumerate(runs) if not run.examples]
    children = [*rows, *(panel for panel in figures if panel)]
    return tag("div", *children) if children else None


def legend(runs: list[Run]) -> Markup | None:
    """Return the legend of the classes' colors, without duplicates."""
    entries = dict.fromkeys((name, tuple(rgb)) for run in runs for name, rgb in run.legend.items())
    items = [
        tag("li", tag("span", style=f"background: rgb({', '.join(map(str, rgb))})", class_="swatch"), name)
        for name, rgb in entries
    ]
    return tag("ul", *items, class_="legend") if items else None


def perturbations(runs: list[Run]) -> Markup | None:
    """Return the perturbation of each run, and the network's prediction on the perturbation alone."""
    panels = []
    for i, run in enumerate(runs):
        found = {
            "The perturbation, amplified to full contrast": (run.folder / "perturbation.png", "noise"),
            "The prediction on the perturbation over plain grey": (
                run.folder / "pictures" / "perturbation.png",
                "paper",
            ),
        }
        shown = [
            _figure(path, f"{caption}: {run.name}", caption, style)
            for caption, (path, style) in found.items()
            if path.exists()
        ]
        if shown:
            title = run_title(run, i) if len(runs) > 1 else None
            panels.append(tag("div", title, tag("div", *shown, class_="plots"), class_="panel"))
    return tag("div", *panels, class_="runs") if panels else None


def run_title(run: Run, number: int) -> Markup:
    """Return a heading with the name of a run in the run's color."""
    return tag("h3", run.name, class_=f"run {color(number)}")


def _example(runs: list[Run], name: str) -> Markup:
    panels = []
    for i, run in enumerate(runs):
        pictures = run.examples.get(name)
        if pictures:
            title = run_title(run, i) if len(runs) > 1 else None
            panels.append(tag("div", title, _panel(pictures, name), class_="panel"))
    label = f"{name}: share of the clean picture"
    slider = tag("input", type="range", min=0, max=100, value=50, aria_label=label, class_="slider")
    heading = tag("h3", name, class_="name")
    return tag("div", heading, slider, tag("div", *panels, class_="runs"), class_="example", style="--cut: 50%")


def _panel(pictures: dict[str, Path], name: str) -> Markup:
    pairs = [
        tag(
            "div",
            _titled(pictures[clean], f"{what}, clean", f"Clean {what}, {name}", clean in PHOTOGRAPHS),
            _titled(pictures[adversarial], "adversarial", f"Adversarial {what}, {name}", clean in PHOTOGRAPHS, "over"),
            class_="stack",
        )
        for clean, adversarial, what in PAIRS
        if clean in pictures and adversarial in pictures
    ]
    stills = [
        _titled(pictures[key], what, f"The {what}, {name}", photograph=False)
        for key, what in STILLS.items()
        if key in pictures
    ]
    return tag("div", *pairs, tag("div", *stills, class_="stills") if stills else None, class_="pictures")


def _titled(path: Path, title: str, alt: str, photograph: bool, class_: str = "under") -> Markup:
    return tag("div", picture(path, alt, photograph), tag("span", title, class_="corner"), class_=class_)


def _figures(run: Run, number: int, several: bool) -> Markup | None:
    paths = sorted((run.folder / "pictures").glob("*.png"))
    shown = [
        _figure(path, f"Figure of {path.stem}", path.stem, "paper")
        for path in paths
        if path.stem != "perturbation" and not path.stem.endswith("_predictions")
    ]
    title = run_title(run, number) if several else None
    return tag("div", title, tag("div", *shown, class_="plots"), class_="panel") if shown else None


def _figure(path: Path, alt: str, caption: str, class_: str) -> Markup:
    return tag("figure", picture(path, alt, photograph=True), tag("figcaption", caption), class_=class_)
