"""Safe replacements for the objects of a pickle that are not tensors: NumPy arrays and inert placeholders.

The `weights_only` reader of torch only resolves names of an allowlist. The classes here are entries of that allowlist.
They store data and do nothing else, whatever arguments a file passes to them.
"""

import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np


class _DType:
    """A NumPy dtype given by its code, such as `f8`. NumPy's own class would accept a memory layout from the file."""

    def __init__(self, code: str, *args: object) -> None:
        if not isinstance(code, str):
            raise TypeError("the code of a dtype must be a string")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[2:5] != (None, None, None):
            raise TypeError("structured arrays are not supported")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """A NumPy array whose content can be set once."""

    def __new__(cls, *args: object) -> "_Array":
        return super().__new__(cls, (0,))

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, is_fortran, content = state
        if self.size or type(dtype) is not _DType:  # a tensor may already share the memory of a filled array
            raise TypeError("the content of an array can be set once, with a dtype")
        super().__setstate__((version, shape, dtype.dtype, is_fortran, content))


def _scalar(dtype: _DType, content: bytes) -> Any:
    return np.frombuffer(content, dtype.dtype, 1)[0]


def _no_bytes() -> bytes:
    return b""


def _deque(items: Any = (), length: object = None) -> list[Any]:
    return list(items)


DATA: list[tuple[Any, str]] = [
    (_Array, "numpy.ndarray"),
    (_DType, "numpy.dtype"),
    (_deque, "collections.deque"),
    (_no_bytes, "builtins.bytes"),  # the content of an empty array; pickle encodes other bytes as text
    *(
        (replacement, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for replacement, name in ((_Array, "_reconstruct"), (_scalar, "scalar"))
    ),
]
"""Replacements by name for data that published files store beside weights: losses, class weights, scores."""


def placeholders(names: set[str], left_out: set[str], as_dictionaries: bool) -> list[tuple[Any, str]]:
    """Return an inert class for each name. Names that the reader of torch knows keep their meaning.

    Args:
        names: full names of classes and functions.
        left_out: set to which the name of each replaced object is added during loading.
        as_dictionaries: replace each object by an empty dictionary, which takes items and attributes; otherwise by an
            object that is hashable and accepts any state.
    """
    unknown = names - {name for _, name in DATA}
    return [(_placeholder(name, left_out, as_dictionaries), name) for name in unknown]


def _placeholder(name: str, left_out: set[str], as_dictionaries: bool) -> type:
    class Placeholder:
        def __new__(cls, *args: object) -> Any:
            left_out.add(name)
            return OrderedDict() if as_dictionaries else super().__new__(cls)

        def __init__(self, *args: object) -> None:
            """Accept any arguments."""

        def __setstate__(self, state: object) -> None:
            """Ignore the state."""

    return Placeholder


def global_names(path: Path) -> set[str]:
    """Return the full names of the classes and functions that a file of `torch.save` refers to, without loading it.

    Raises:
        Exception: the file is damaged.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:  # legacy format: magic number, version, system information, content
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
