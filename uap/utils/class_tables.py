"""Class tables: the names and colors of what a network predicts and of what a data set labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uap.utils.errors import InputError

IGNORE = 255
"""The id of a pixel that counts nowhere: no loss, no success, no IoU."""


@dataclass(frozen=True)
class LabelTable:
    """The classes of a network or a data set, in the order of their ids.

    Attributes:
        names: one name per class id.
        colors: one RGB triple (0 to 255) per class id.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    def ids(self, names: list[str]) -> tuple[int, ...]:
        """Return the ids of some classes; what another data set calls them will do, as in `SYNONYMS`.

        Raises:
            InputError: a class is not in the table.
        """
        known = LabelTable(tuple(names), ((0, 0, 0),) * len(names)).translation(self)[: len(names)]
        unknown = [name for name, class_id in zip(names, known, strict=True) if class_id == IGNORE]
        if unknown:
            raise InputError(
                f"There is no class {', '.join(map(repr, unknown))}: the classes are {', '.join(self.names)}. "
                "Choose from these."
            )
        return tuple(known.tolist())

    def first(self, count: int) -> "LabelTable":
        """Return the table for a network of `count` outputs; outputs beyond the table become `void`."""
        extra = max(0, count - len(self))
        void = tuple(f"void{i or ''}" for i in range(extra))
        return LabelTable(self.names[:count] + void, self.colors[:count] + ((0, 0, 0),) * extra)

    def paint(self, mask: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the colors of class ids (H, W) as an RGB picture uint8 (H, W, 3); ignored pixels are white."""
        palette: NDArray[np.uint8] = np.full((256, 3), 255, dtype=np.uint8)
        palette[: len(self)] = self.colors
        picture: NDArray[np.uint8] = palette[mask]
        return picture

    def translation(self, other: "LabelTable") -> NDArray[np.uint8]:
        """Return uint8 (256,): for each id of this table the id of the same class in `other`, else 255.

        Classes are the same by name, whatever its case and with `_` or `-` for a space, else by `SYNONYMS`.
        """
        theirs = [_plain(name) for name in other.names]
        table = np.full(256, IGNORE, dtype=np.uint8)
        for own, name in enumerate(map(_plain, self.names)):
            found = [same for same in (name, *_synonyms(name)) if same in theirs]
            if found:
                table[own] = theirs.index(found[0])
        return table

    def unmapped(self, other: "LabelTable") -> tuple[list[str], list[str]]:
        """Return the names of this table that have no class in `other`, and those of `other` that have none here.

        Outputs without a meaning (`void`) are not named. Labels of an unmapped class are ignored, and a class without
        labels has no IoU; where a network predicts such a class, the pixel is wrong for the class of its label.
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
    ("vegetation", "tree"),  # CamVid's 11 classes count VegetationMisc as tree
    ("person", "pedestrian"),  # VOC's person may also ride, which in Cityscapes is a rider
    ("traffic sign", "sign"),  # CamVid's sign holds traffic lights too, for which Cityscapes has a class of its own
    # CamVid draws a rider and the bicycle as one; of the two, the rider is what makes it another class than bicycle.
    # A network of Cityscapes' classes is scored as wrong on the bicycle below.
    ("rider", "bicyclist"),
    ("motorcycle", "motorbike"),
)
"""Names of one class in different data sets, by their definitions. None for a class that is a part of another's:
Cityscapes' wall belongs to CamVid's building, its truck and bus to CamVid's car, all the rest to VOC's background."""

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
"""The 19 train ids of Cityscapes with their official colors (cityscapesScripts, helpers/labels.py)."""

CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label id of each train id: `CITYSCAPES_LABEL_IDS[train_id]` stands in `*_labelIds.png`."""


def check_train_ids(ids: NDArray[np.uint8], place: object) -> NDArray[np.uint8]:
    """Return train ids of Cityscapes as they are.

    Raises:
        InputError: there are others, as in label files of Cityscapes' label ids; the message names `place`.
    """
    wrong = ids[(ids >= len(CITYSCAPES)) & (ids != IGNORE)]
    if wrong.size:
        raise InputError(
            f"{place} holds the id {wrong[0]}, expected train ids 0 to {len(CITYSCAPES) - 1}, or 255. Are these masks "
            "for semantic segmentation, with train ids in place of Cityscapes' label ids?"
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
"""The 11 classes of CamVid as SegNet numbers them (Badrinarayanan et al., TPAMI 2017)."""

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
"""The 20 classes of Pascal VOC and their background, with the colors of its palette (VOC2012 development kit)."""

UNLABELLED = LabelTable((), ())
"""Of images without labels: the network's own table names the classes."""

TABLES = {"cityscapes": CITYSCAPES, "camvid": CAMVID, "voc": VOC, "bdd100k": CITYSCAPES}
"""The tables that a configuration can name; BDD100K has Cityscapes' 19 classes."""
