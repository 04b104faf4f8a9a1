"""What stands in for the objects of a pickle that are not tensors: NumPy's arrays, and inert placeholders.

torch's `weights_only` reader looks names up in a list and nowhere else. These are entries of that list: classes that do
nothing but keep data, whatever a file calls them with.
"""

import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np


class _Kind:
    """A NumPy dtype by its code, such as `f8`; NumPy's own would take a layout from the file, and read memory by it."""

    def __init__(self, code: str, *args: object) -> None:
        if not isinstance(code, str):
            raise TypeError("a dtype's code is a text")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[2:5] != (None, None, None):
            raise TypeError("an array of records is no data of a network")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """A NumPy array that is filled once."""

    def __new__(cls, *args: object) -> "_Array":
        return super().__new__(cls, (0,))

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, in_columns, content = state
        if self.size or type(kind) is not _Kind:  # a tensor may share its memory once it is filled
            raise TypeError("an array is filled once, with a dtype")
        super().__setstate__((version, shape, kind.dtype, in_columns, content))


def _number(kind: _Kind, content: bytes) -> Any:
    return np.frombuffer(content, kind.dtype, 1)[0]


def _no_bytes() -> bytes:
    return b""


def _deque(items: Any = (), length: object = None) -> list[Any]:
    return list(items)


DATA: list[tuple[Any, str]] = [
    (_Array, "numpy.ndarray"),
    (_Kind, "numpy.dtype"),
    (_deque, "collections.deque"),
    (_no_bytes, "builtins.bytes"),  # the content of an empty array; other bytes are made of a text
    *(
        (stand_in, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for stand_in, name in ((_Array, "_reconstruct"), (_number, "scalar"))
    ),
]
"""Data that many publish beside the weights: losses, class weights, the score that was reached."""


def placeholders(names: set[str], left_out: set[str], as_dictionaries: bool) -> list[tuple[Any, str]]:
    """Return an inert class for each name; what torch's reader knows itself goes before them.

    Args:
        names: the full names of classes and functions.
        left_out: takes the name of each that an object was to be made of.
        as_dictionaries: make each object an empty dictionary, which takes items and attributes; else one without any,
            which can be a key and takes whatever state.
    """
    unknown = names - {name for _, name in DATA}
    return [(_placeholder(name, left_out, as_dictionaries), name) for name in unknown]


def _placeholder(name: str, left_out: set[str], as_dictionaries: bool) -> type:
    class Placeholder:
        def __new__(cls, *args: object) -> Any:
            left_out.add(name)
            return OrderedDict() if as_dictionaries else super().__new__(cls)

        def __init__(self, *args: object) -> None:
            """Take whatever it is called with."""

        def __setstate__(self, state: object) -> None:
            """Leave out whatever state."""

    return Placeholder


def global_names(path: Path) -> set[str]:
    """Return the full names of the classes and functions that a file of `torch.save` names, without loading it.

    Raises:
        Exception: it is damaged.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:  # the old format: a magic number, a version, the system, and then the content
            return {name for _ in range(4) for name in _names(file)}
    with zipfile.ZipFile(path) as archive:
        return {name for record in archive.namelist() if record.endswith("data.pkl") for name in
                _names(archive.read(record))}  # fmt: skip


def _names(content: Any) -> set[str]:
    found = set()
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            found.add(f"{module}.{name}")
    return found
