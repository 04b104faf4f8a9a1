"""Tests of class tables."""

import numpy as np
import pytest
import torch

from uap.metrics.iou import ClassIoU
from uap.utils.class_tables import CAMVID, CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE, TABLES, UNLABELLED, VOC, LabelTable
from uap.utils.errors import InputError

SMALL = LabelTable(("sky", "road"), ((1, 2, 3), (4, 5, 6)))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_names_and_colors_of_classes_are_unique(table: LabelTable) -> None:
    assert len(table) == len(table.colors) == len(set(table.names)) == len(set(table.colors))
    assert all(0 <= level <= 255 for color in table.colors for level in color)


def test_tables_have_the_published_number_of_classes() -> None:
    assert (len(CITYSCAPES), len(CAMVID), len(VOC)) == (19, 11, 21)
    assert TABLES["bdd100k"] is CITYSCAPES
    assert len(set(CITYSCAPES_LABEL_IDS)) == 19
    assert CITYSCAPES_LABEL_IDS[CITYSCAPES.names.index("person")] == 24


def test_voc_colors_equal_its_palette() -> None:
    def color(index: int) -> tuple[int, ...]:
        """Bits 0, 3, 6 of the id are the highest bits of red, 1, 4, 7 of green, 2, 5 of blue (VOClabelcolormap.m)."""
        return tuple(sum((index >> (3 * i + c) & 1) << (7 - i) for i in range(3)) for c in range(3))

    assert VOC.colors == tuple(color(index) for index in range(21))
    assert VOC.names[15] == "person"


def test_ids_have_the_order_of_the_given_names() -> None:
    assert CITYSCAPES.ids(["rider", "person", "road"]) == (12, 11, 0)
    assert CITYSCAPES.ids([]) == ()


def test_unknown_names_raise_error_with_known_names() -> None:
    with pytest.raises(InputError, match=r"There is no class 'dog', 'cat': the classes are sky, road\. Choose from"):
        SMALL.ids(["dog", "sky", "cat"])


def test_network_with_fewer_outputs_has_the_first_classes() -> None:
    assert CITYSCAPES.first(2) == LabelTable(("road", "sidewalk"), ((128, 64, 128), (244, 35, 232)))
    assert CITYSCAPES.first(19) == CITYSCAPES


def test_network_with_more_outputs_has_void_classes() -> None:
    table = SMALL.first(5)
    assert table.names == ("sky", "road", "void", "void1", "void2")
    assert table.colors == (*SMALL.colors, (0, 0, 0), (0, 0, 0), (0, 0, 0))
    assert table.ids(["void1"]) == (3,)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_paint_uses_class_colors_and_white_for_ignored_pixels(dtype: type[np.integer]) -> None:
    picture = SMALL.paint(np.array([[0, 1], [IGNORE, 2]], dtype))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[1, 2, 3], [4, 5, 6]], [[255] * 3, [255] * 3]]


SAME = {
    "sky": "sky", "building": "building", "pole": "pole", "road": "road", "pavement": "sidewalk", "tree": "vegetation",
    "sign": "traffic sign", "fence": "fence", "car": "car", "pedestrian": "person", "bicyclist": "rider",
}  # fmt: skip
"""The classes of CamVid in Cityscapes."""


def by_name(own: LabelTable, other: LabelTable) -> dict[str, str]:
    ids = own.translation(other)
    assert ids.dtype == np.uint8
    assert ids.shape == (256,)
    assert (ids[len(own) :] == IGNORE).all()
    return {name: other.names[i] for name, i in zip(own.names, ids, strict=False) if i != IGNORE}


def test_camvid_and_cityscapes_are_translated_by_names_and_synonyms() -> None:
    assert by_name(CAMVID, CITYSCAPES) == SAME
    assert by_name(CITYSCAPES, CAMVID) == {theirs: ours for ours, theirs in SAME.items()}
    assert CAMVID.unmapped(CITYSCAPES) == (
        [],
        ["wall", "traffic light", "terrain", "truck", "bus", "train", "motorcycle", "bicycle"],
    )


def test_voc_and_cityscapes_share_people_and_vehicles() -> None:
    same = {name: name for name in ("person", "car", "bus", "train", "bicycle")}
    assert by_name(VOC, CITYSCAPES) == same | {"motorbike": "motorcycle"}
    assert by_name(CITYSCAPES, VOC) == same | {"motorcycle": "motorbike"}
    assert by_name(VOC, CAMVID) == {"car": "car", "person": "pedestrian"}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_translation_to_the_same_table_is_the_identity(table: LabelTable) -> None:
    assert table.translation(table)[: len(table)].tolist() == list(range(len(table)))
    assert table.unmapped(table) == ([], [])


def test_equal_names_take_precedence_over_synonyms() -> None:
    other = LabelTable(("Vegetation", "tree", "Traffic_Light", "__background__"), ((0, 0, 0),) * 4)
    own = LabelTable(("tree", "vegetation", "traffic light", "background", "sky"), ((0, 0, 0),) * 5)
    assert own.translation(other)[:5].tolist() == [1, 0, 2, 3, IGNORE]


def test_outputs_without_a_meaning_are_not_named_as_unmapped() -> None:
    assert CAMVID.unmapped(CAMVID.first(13)) == ([], [])


def test_table_without_classes_has_no_translation() -> None:
    assert (UNLABELLED.translation(CAMVID) == IGNORE).all()
    assert (CAMVID.translation(UNLABELLED) == IGNORE).all()


def test_class_without_a_counterpart_is_left_out_of_the_iou() -> None:
    network = LabelTable(("road", "person", "terrain"), ((0, 0, 0),) * 3)
    labels = LabelTable(("void", "road", "pedestrian", "lane"), ((0, 0, 0),) * 4)
    labeled = torch.tensor([[[1, 1, 1, 1, 2, 2, 3, 0]]])
    predicted = torch.tensor([[[0, 0, 0, 2, 1, 0, 2, 2]]])  # one road pixel is seen as terrain, one person as road

    iou = ClassIoU(len(network))
    iou.update(predicted, torch.from_numpy(labels.translation(network))[labeled])
    assert iou.compute().nan_to_num(-1).tolist() == [3 / 5, 1 / 2, -1]
    assert float(iou.compute().nanmean()) == pytest.approx((3 / 5 + 1 / 2) / 2)
