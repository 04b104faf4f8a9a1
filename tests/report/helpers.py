"""A run folder made at test time, and the contents of a page as a browser would show them."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

VOID = {"img", "input", "meta"}
"""The elements of the pages that have no end tag."""

CONFIG = """\
model:
  victim: {class_path: uap.victims.Victim, init_args: {network: {class_path: uap.networks.ESPNet}}}
  objective: {class_path: uap.objectives.HideClasses, init_args: {hide: [person, rider]}}
  epsilon: 10.0
data: {class_path: uap.data.StreetScenes, init_args: {size: [16, 32]}}
"""

FIGURES: dict[str, Any] = {
    "train/hidden": 0.36281,
    "train/preserved": 0.90981,
    "val/hidden": 0.26806,
    "val/preserved": 0.91443,
    "val/miou_clean": 0.78139,
    "val/miou_adversarial": 0.68242,
    "gradient_evaluations": 178500,
    "seconds": 91.4,
    "images_per_second": 8.4,
    "epsilon": 10.0,
    "largest_entry": 9.75,
    "size": [16, 32],
    "tile": [8, 8],
    "target": "HideClasses",
    "victim": "ESPNet",
    "victim_fingerprint": "4fa5416ca31c6980",
    "data": "StreetScenes",
    "images": {"train": 192, "scored": 3},
    "per_image": {
        "hidden": {"worst_decile": 0.0123, "deciles": [0.0123, 0.02, 0.1, 0.1, 0.2, 0.345, 0.4, 0.5, 0.6, 0.7, 0.877]},
        "preserved": {"worst_decile": 0.811, "deciles": [0.811] * 11},
    },
    "hidden_by_size": {
        "small": {"objects": 1212, "pixels": 20144, "hidden": 0.6111},
        "large": {"objects": 21, "pixels": 190333, "hidden": 0.1422},
    },
    "by_class": [
        {"class": "road", "pixels": 885940, "preserved": 0.9876, "iou_clean": 0.9543, "iou_adversarial": None},
        {"class": "person", "pixels": 42950, "hidden": 0.2561, "iou_clean": 0.7566, "iou_adversarial": 0.4051},
    ],
}

STEPS = [
    {"step": 0, "train/loss": 5.625, "perturbation/linf": 1.0, "perturbation/saturation": 0.0},
    {"step": 1, "train/loss": 2.125, "perturbation/linf": 2.0, "perturbation/saturation": 0.1},
    {"step": 1, "val/hidden": 0.125, "val/preserved": 0.9, "val/miou_clean": 0.78, "val/miou_adversarial": 0.6875},
    {"step": 3, "val/hidden": 0.25, "val/preserved": 0.875, "val/miou_clean": 0.78, "val/miou_adversarial": 0.5},
    {"step": 4, "train/hidden": 0.5, "train/miou_clean": 0.75},
]

IMAGES = [
    {"image": "scene_0", "hidden": 0.0123, "hidden_pixels": 488, "preserved": 0.811},
    {"image": "scene_1", "hidden": 0.345, "hidden_pixels": 5725, "preserved": 0.95},
    {"image": "scene_2", "hidden": "", "hidden_pixels": 0, "preserved": 0.97},
]

PANELS = ("image", "adversarial_image", "prediction", "adversarial_prediction", "target", "labels")


def make_run(folder: Path, figures: dict[str, Any] = FIGURES, config: str = CONFIG, example: str = "scene_0") -> Path:
    """A finished run with everything that a page can show."""
    panels = folder / "pictures" / "panels" / example
    panels.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in PANELS:
        Image.fromarray(rng.integers(0, 256, (16, 32, 3), np.uint8)).save(panels / f"{name}.png")
    for path in (folder / "perturbation.png", folder / "pictures" / "perturbation.png"):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    (folder / "pictures" / "legend.json").write_text(json.dumps({"road": [128, 64, 128], "person": [220, 20, 60]}))
    (folder / "metrics.json").write_text(json.dumps(figures))
    (folder / "config.yaml").write_text(config)
    write_rows(folder / "metrics.csv", STEPS)
    write_rows(folder / "per_image.csv", IMAGES)
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)


class Page(HTMLParser):
    """What is in a page: elements with their attributes, and the text of each that has any."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, *tags: str) -> list[str]:
        """The texts directly in elements of these names; of all but style and script by default."""
        return [text for tag, text in self.texts if (tag in tags if tags else tag not in ("style", "script"))]
