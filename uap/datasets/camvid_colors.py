"""Labels of CamVid as colors of 32 classes, and their assignment to 11 classes."""

import csv
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uap.datasets.sources import check_file, stamp
from uap.datasets.unreadable import unreadable_file
from uap.utils.class_tables import CAMVID, IGNORE, LabelTable
from uap.utils.errors import InputError

Color = tuple[int, int, int]

VOID = 11
"""The id of unlabeled pixels."""

CLASS_DICT = "class_dict.csv"
"""Name of the file with the colors of the classes (name, r, g, b), beside the folders of images and labels."""

MEMBERS = {
    "sky": ("Sky",),
    "building": ("Archway", "Bridge", "Building", "Tunnel", "Wall"),
    "pole": ("Column_Pole", "TrafficCone"),
    "road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "pavement": ("Sidewalk", "ParkingBlock", "RoadShoulder"),
    "tree": ("Tree", "VegetationMisc"),
    "sign": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "fence": ("Fence",),
    "car": ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "pedestrian": ("Pedestrian", "Child", "Animal", "CartLuggagePram"),
    "bicyclist": ("Bicyclist", "MotorcycleScooter"),
}
"""The 11 classes of SegNet with their members among the 32 (Badrinarayanan et al., TPAMI 2017), except Void."""

COLORS: dict[str, Color] = {
    "Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist": (0, 128, 192), "Bridge": (0, 128, 64),
    "Building": (128, 0, 0), "Car": (64, 0, 128), "CartLuggagePram": (64, 0, 192), "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128), "Fence": (64, 64, 128), "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64), "Misc_Text": (128, 128, 64), "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64), "ParkingBlock": (64, 192, 128), "Pedestrian": (64, 64, 0), "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192), "Sidewalk": (0, 0, 192), "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192), "TrafficCone": (0, 0, 64), "TrafficLight": (0, 64, 64), "Train": (192, 64, 128),
    "Tree": (128, 128, 0), "Truck_Bus": (192, 128, 192), "Tunnel": (64, 0, 64), "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0), "Wall": (64, 192, 0),
}  # fmt: skip
"""The 32 classes and their colors (Brostow et al., Pattern Recognition Letters 2009, `label_colors.txt`)."""


def ids_of_colors(pixels: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """Return the ids `(H, W)` uint8, 0 to 11, of a label image `(H, W, 3)`.

    Args:
        pixels: RGB colors of the classes.
        path: the label file. The colors are those of the `class_dict.csv` of its data set, or `COLORS` without one.

    Raises:
        InputError: a color belongs to no class, or `class_dict.csv` cannot be used.
    """
    known = _ids_by_color(class_dict_of(path))
    codes = np.array(sorted(known), np.uint32)
    packed = (pixels.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(2, dtype=np.uint32)
    found = np.searchsorted(codes, packed).clip(max=len(codes) - 1)
    unknown = np.unique(packed[codes[found] != packed])
    if unknown.size:
        shown = ", ".join(f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in unknown[:3].tolist())
        raise InputError(
            f"{path} has {unknown.size} colors of no class, {shown} first. Expected the colors of CamVid's 32 classes. "
            f"List other colors in {class_dict_of(path)}, and resize labels only by the nearest neighbor.",
            kind="unusable_file",
        )
    ids: NDArray[np.uint8] = np.array([known[code] for code in codes.tolist()], np.uint8)[found]
    return ids


def class_dict_of(path: Path) -> Path:
    """Return the path of the `class_dict.csv` for a label file; it need not exist."""
    return path.parent.parent / CLASS_DICT


def _ids_by_color(path: Path) -> dict[int, int]:
    """Return the id of each color, packed into 24 bits."""
    return _read_once(path, *stamp(path)[1:]) if path.exists() else _packed(COLORS, path)


@functools.cache
def _read_once(path: Path, length: int, changed: int) -> dict[int, int]:
    check_file(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(file)]
        colors = {row["name"].strip(): (int(row["r"]), int(row["g"]), int(row["b"])) for row in rows}
    except OSError as error:
        raise unreadable_file(path, error, "Check the path.") from error
    except (ValueError, KeyError, AttributeError, TypeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}), expected a first line name,r,g,b and a line for each class, such as "
            "Animal,64,128,64.",
            kind="unusable_file",
        ) from error
    return _packed(colors, path)


def _packed(colors: dict[str, Color], path: Path) -> dict[int, int]:
    ids = {_plain(name): CAMVID.names.index(group) for group, names in MEMBERS.items() for name in names}
    ids |= dict.fromkeys(("void", "unlabeled", "unlabeled"), VOID)
    unknown = []
    packed = {}
    for name, (red, green, blue) in colors.items():
        same = LabelTable((name,), ((0, 0, 0),)).translation(CAMVID)[0]  # the list may have the 11 classes
        found = ids.get(_plain(name), None if same == IGNORE else int(same))
        if found is None:
            unknown.append(name)
        else:
            packed[red << 16 | green << 8 | blue] = found
    if unknown or not packed:
        raise InputError(
            f"{path} lists {', '.join(unknown) or 'no class'}, expected CamVid's 32 classes: {', '.join(COLORS)}.",
            kind="unusable_file",
        )
    return packed


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
