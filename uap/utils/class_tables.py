"""Class tables: the names and colors of the classes of networks and data sets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uap.utils.errors import InputError

IGNORE = 255
"""The class id of ignored pixels. They enter no loss and no metric."""


@dataclass(frozen=True)
class LabelTable:
    """The classes of a network or a data set, in the order of their ids.

    Attributes:
        names: one name per class id.
        colors: one RGB triple (0 to 255) per class id.

    Example:
        >>> table = LabelTable(("road", "sky"), ((128, 64, 128), (70, 130, 180)))
        >>> table.ids(["sky"])
        (1,)
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    def ids(self, names: list[str]) -> tuple[int, ...]:
        """Return the ids of classes given by name; the names of other data sets in `SYNONYMS` are accepted.

        Raises:
            InputError: a class is not in the table.
        """
        known = LabelTable(tuple(names), ((0, 0, 0),) * len(names)).translation(self)[: len(names)]
        unknown = [name for name, class_id in zip(names, known, strict=True) if class_id == IGNORE]
        if unknown:
            raise InputError(
                f"There is no class {', '.join(map(repr, unknown))}: the classes are {', '.join(self.names)}. "
                "Choose from these.",
                kind="unknown_name",
            )
        return tuple(known.tolist())

    def first(self, count: int) -> "LabelTable":
        """Return the table of the first `count` classes; if the table is shorter, classes named `void` are added."""
        extra = max(0, count - len(self))
        void = tuple(f"void{i or ''}" for i in range(extra))
        return LabelTable(self.names[:count] + void, self.colors[:count] + ((0, 0, 0),) * extra)

    def paint(self, mask: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return an RGB picture uint8 `(H, W, 3)` of class ids `(H, W)`; ignored pixels are white."""
        palette: NDArray[np.uint8] = np.full((256, 3), 255, dtype=np.uint8)
        palette[: len(self)] = self.colors
        picture: NDArray[np.uint8] = palette[mask]
        return picture

    def translation(self, other: "LabelTable") -> NDArray[np.uint8]:
        """Return uint8 `(256,)`: for each id of this table, the id of the same class in `other`, or 255 if it has none.

        Two classes are the same if their names agree, or if `SYNONYMS` lists both names together. Case does not matter,
        and `_` and `-` count as spaces.
        """
        theirs = [_plain(name) for name in other.names]
        table = np.full(256, IGNORE, dtype=np.uint8)
        for own, name in enumerate(map(_plain, self.names)):
            found = [same for same in (name, *_synonyms(name)) if same in theirs]
            if found:
                table[own] = theirs.index(found[0])
        return table

    def unmapped(self, other: "LabelTable") -> tuple[list[str], list[str]]:
        """Return the class names of this table that `other` lacks, and those of `other` that this table lacks.

        `void` classes are left out. Labels of an unmapped class are ignored, and a class without labels has no IoU. If
        a network predicts an unmapped class, the pixel counts as wrong for the class of its label.
        """
        return _missing(self, other), _missing(other, self)


def _missing(table: LabelTable, other: LabelTable) -> list[str]:
    ids = table.translation(other)
    return [name for i, name in enumerate(table.names) if ids[i] == IGNORE and not name.startswith("void")]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _synonyms(name: str) -> list[str]:
    return [same for names in SYNONYMS if name in names for same in names]


SYNONYMS = (
    ("sidewalk", "pavement"),
    ("vegetation", "tree"),  # the 11 classes of CamVid include VegetationMisc in tree
    ("person", "pedestrian"),  # VOC's person includes riders, which are a class of their own in Cityscapes
    ("traffic sign", "sign"),  # CamVid's sign includes traffic lights, a class of their own in Cityscapes
    # CamVid labels the rider and the bicycle as one class. It is mapped to rider, so a network with the classes of
    # Cityscapes is counted as wrong on the pixels of the bicycle.
    ("rider", "bicyclist"),
    ("motorcycle", "motorbike"),
)
"""Names of the same class in different data sets, by the definitions of the data sets. A class that is only part of a
class of another data set is not listed: Cityscapes' wall is part of CamVid's building, its truck and bus are part of
CamVid's car, and most of its classes are part of VOC's background."""

CITYSCAPES = LabelTable(
    names=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    colors=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
        (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip
"""The 19 training classes of Cityscapes with their official colors (cityscapesScripts, helpers/labels.py)."""

CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label id of each train id: the files `*_labelIds.png` contain `CITYSCAPES_LABEL_IDS[train_id]`."""


def check_train_ids(ids: NDArray[np.uint8], source: object) -> NDArray[np.uint8]:
    """Return class ids unchanged if all of them are train ids of Cityscapes or 255.

    Args:
        ids: class ids of any shape.
        source: the file of the ids, for the message.

    Raises:
        InputError: other ids are found, for example label ids of Cityscapes.
    """
    wrong = ids[(ids >= len(CITYSCAPES)) & (ids != IGNORE)]
    if wrong.size:
        raise InputError(
            f"{source} holds the id {wrong[0]}, expected train ids 0 to {len(CITYSCAPES) - 1}, or 255. Use masks for "
            "semantic segmentation with train ids, not with the label ids of Cityscapes.",
            kind="unusable_file",
        )
    return ids


CAMVID = LabelTable(
    names=(
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    colors=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
)  # fmt: skip
"""The 11 classes of CamVid in the order of SegNet (Badrinarayanan et al., TPAMI 2017)."""

VOC = LabelTable(
    names=(
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    ),
    colors=(
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
        (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128), (64, 128, 128),
        (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
    ),
)  # fmt: skip
"""The background and the 20 classes of Pascal VOC, with the colors of the VOC2012 development kit."""

UNLABELLED = LabelTable((), ())
"""The table of data sets without labels. The class names then come from the network."""

TABLES = {"cityscapes": CITYSCAPES, "camvid": CAMVID, "voc": VOC, "bdd100k": CITYSCAPES}
"""The tables by the name that a configuration gives; BDD100K has the 19 classes of Cityscapes."""
