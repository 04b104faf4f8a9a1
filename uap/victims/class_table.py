"""The class table of a network, by name or as a list of class names."""

import colorsys
from typing import Literal

from uap.utils.class_tables import TABLES, LabelTable
from uap.utils.errors import InputError

Classes = Literal["bdd100k", "camvid", "cityscapes", "voc"] | list[str]
"""A class table by name, or the names of the outputs in their order."""


def table_of(classes: Classes) -> LabelTable:
    """Return the class table with a name, or a table of class names: a known one, or a new one.

    Classes of a new table have the colors of Cityscapes if it has their names, else hues that are evenly spaced.

    Raises:
        InputError: there is no table of that name.
    """
    if isinstance(classes, str):
        if classes not in TABLES:
            raise InputError(
                f"There is no class table {classes!r}. Choose {', '.join(TABLES)}, or give a list.",
                setting="model.victim.classes",
                kind="unknown_name",
            )
        return TABLES[classes]
    known = [table for table in TABLES.values() if table.names == tuple(classes)]
    if known:
        return known[0]
    cityscapes = dict(zip(TABLES["cityscapes"].names, TABLES["cityscapes"].colors, strict=True))
    hues = {name: _hue(number / len(classes)) for number, name in enumerate(classes)}
    return LabelTable(tuple(classes), tuple(cityscapes.get(name, hues[name]) for name in classes))


def _hue(share: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * value) for value in colorsys.hsv_to_rgb(share, 0.7, 0.9))
    return red, green, blue
