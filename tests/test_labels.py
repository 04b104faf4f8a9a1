"""Class tables."""

import numpy as np
import pytest

from uap.errors import InputError
from uap.labels import CAMVID, CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE, TABLES, LabelTable

SMALL = LabelTable(("sky", "road"), ((1, 2, 3), (4, 5, 6)))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_class_has_a_name_and_a_colour_of_its_own(table: LabelTable) -> None:
    assert len(table) == len(table.colours) == len(set(table.names)) == len(set(table.colours))
    assert all(0 <= level <= 255 for colour in table.colours for level in colour)


def test_the_tables_have_the_published_number_of_classes() -> None:
    assert (len(CITYSCAPES), len(CAMVID)) == (19, 11)
    assert len(set(CITYSCAPES_LABEL_IDS)) == 19
    assert CITYSCAPES_LABEL_IDS[CITYSCAPES.names.index("person")] == 24


def test_ids_come_in_the_order_of_the_names_asked_for() -> None:
    assert CITYSCAPES.ids(["rider", "person", "road"]) == (12, 11, 0)
    assert CITYSCAPES.ids([]) == ()


def test_unknown_names_are_a_sentence_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"There is no class 'dog', 'cat': the classes are sky, road\. Choose from"):
        SMALL.ids(["dog", "sky", "cat"])


def test_a_network_of_fewer_outputs_has_the_first_classes() -> None:
    assert CITYSCAPES.first(2) == LabelTable(("road", "sidewalk"), ((128, 64, 128), (244, 35, 232)))
    assert CITYSCAPES.first(19) == CITYSCAPES


def test_a_network_of_more_outputs_has_void_classes_of_different_names() -> None:
    table = SMALL.first(5)
    assert table.names == ("sky", "road", "void", "void1", "void2")
    assert table.colours == (*SMALL.colours, (0, 0, 0), (0, 0, 0), (0, 0, 0))
    assert table.ids(["void1"]) == (3,)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_mask_is_painted_in_its_colours_and_ignored_pixels_white(dtype: type[np.integer]) -> None:
    picture = SMALL.paint(np.array([[0, 1], [IGNORE, 2]], dtype))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[1, 2, 3], [4, 5, 6]], [[255] * 3, [255] * 3]]


def test_classes_translate_by_name_and_the_others_are_ignored() -> None:
    same = {"sky": 10, "building": 2, "pole": 5, "road": 0, "fence": 4, "car": 13}
    forth, back = CAMVID.translation(CITYSCAPES), CITYSCAPES.translation(CAMVID)

    assert forth.dtype == np.uint8
    assert forth.shape == back.shape == (256,)
    assert forth[:11].tolist() == [same.get(name, IGNORE) for name in CAMVID.names]
    assert {int(back[other]): other for other in same.values()} == {
        CAMVID.names.index(name): other for name, other in same.items()
    }
    assert (forth != IGNORE).sum() == (back != IGNORE).sum() == len(same)
    assert CITYSCAPES.translation(CITYSCAPES)[:19].tolist() == list(range(19))
