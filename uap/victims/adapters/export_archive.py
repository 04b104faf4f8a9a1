"""Safe reading of files of torch.export: content that could run code is refused before torch loads the file."""

import io
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from uap.utils.errors import InputError

PROGRAM = "models/model.json"
SAMPLE = "data/sample_inputs/model.pt"
PAYLOADS = {"weights": "weight", "constants": "tensor"}
"""Folders of raw tensors, with the prefix of their file names."""

OPERATOR = re.compile(
    r"torch\.ops\.(aten|torchvision)\.(?!__)(?!from_file)\w+\.\w+"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|torch\.sym_(float|int|max|min|not|sqrt|sum|ite)|math\.(ceil|floor|sqrt|trunc)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|getitem)"
)
"""Functions that a program may call: tensor operators of torch that read no file, and arithmetic on sizes."""

WORD = re.compile(
    r"[a-z]{1,2}\d+"  # symbols: s0, u1
    r"|Add|Mul|Pow|Max|Min|Abs|Integer|Rational|Float|Symbol|true|false|True|False|None|And|Or|Not|Eq|Equality|Ne"
    r"|Unequality|Lt|StrictLessThan|Le|LessThan|Gt|StrictGreaterThan|Ge|GreaterThan|evaluate|positive|negative|integer"
    r"|nonnegative|real|precision|dps"  # functions of SymPy
    r"|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv|FloatTrueDiv|Mod|PythonMod|ModularIndexing|Where|PowByNatural|FloatPow"
    r"|TruncToInt|FloorToInt|CeilToInt|RoundToInt|ToFloat|Identity"  # functions of torch for sizes
    r"|L|size|stride|storage_offset|torch|sym_(max|min|float|not|ite)|math|floor|ceil|and|or|not"  # in conditions
)
"""An allowed name in an expression of sizes."""

NAME = re.compile(r"[\w.:@+ -]*")
TREE = re.compile(r'(?!.*(__enum__|defaultdict))[\w."\\{}\[\]:,/@+ -]*')
PATTERNS = {"target": OPERATOR, "as_operator": OPERATOR, "in_spec": TREE, "out_spec": TREE}
"""Patterns that strings of the program must match, by key. Strings with other keys must match `NAME`."""

EXPRESSIONS = ("expr_str", "guards_code")
FREE = ("as_string", "as_strings")
"""Keys of strings that are not interpreted, such as the mode of an interpolation or the formula of an einsum."""


def checked_copy(path: Path) -> io.BytesIO:
    """Return a copy of a `.pt2` file that only contains raw tensors and a program of torch operators.

    `torch.export.load` may run code: it unpickles sample inputs and some tensors, loads compiled libraries, evaluates
    expressions of sizes, and lets a program call any function in `torch`. The copy contains none of these.

    Raises:
        InputError: the file contains other content, or was not written by torch.export.save.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        program = json.loads(records[PROGRAM])
        payloads = {kind: json.loads(records[f"data/{kind}/model_{kind}_config.json"])["config"] for kind in PAYLOADS}
        sample = torch.load(io.BytesIO(records[SAMPLE]), weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, "sample inputs other than tensors") from error
    except Exception as error:  # a damaged file can make the readers raise any error
        raise InputError(
            f"{path} cannot be read as a program of torch.export.save ({error!r}). Export the network again with "
            "torch 2.9 or newer. A compiled program (AOTInductor) has no gradient.",
            kind="unusable_file",
        ) from error
    kept = {name: records[name] for name in ("archive_format", "archive_version", "byteorder", ".data/version")}
    for kind, beginning in PAYLOADS.items():
        for name, meta in payloads[kind].items():
            if meta["use_pickle"] or not re.fullmatch(rf"{beginning}_\d+", meta["path_name"]):
                raise _refused(path, f"the pickled object {name}")
            kept[f"data/{kind}/{meta['path_name']}"] = records[f"data/{kind}/{meta['path_name']}"]
        kept[f"data/{kind}/model_{kind}_config.json"] = json.dumps({"config": payloads[kind]}).encode()
    _check(program, "", path)
    kept |= {PROGRAM: json.dumps(program).encode(), SAMPLE: _saved(sample)}
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as archive:
        for name, content in kept.items():
            archive.writestr(f"model/{name}", content)
    copy.seek(0)
    return copy


def _check(value: Any, key: str, path: Path) -> None:
    """Refuse unexpected values in a program, and remove its metadata about the source code."""
    if isinstance(value, dict):
        if "metadata" in value:
            value["metadata"] = {}
        for name, item in value.items():
            _check(name, "", path)
            _check(item, name, path)
    elif isinstance(value, list):
        for item in value:
            _check(item, key, path)
    elif isinstance(value, str) and key not in FREE:
        is_allowed = _is_expression(value) if key in EXPRESSIONS else PATTERNS.get(key, NAME).fullmatch(value)
        if not is_allowed:
            raise _refused(path, f"{key or 'the name'} {value[:100]!r}")


def _is_expression(text: str) -> bool:
    text = re.sub(r"L\['\w+'\]", "L", text)
    known = all(WORD.fullmatch(word) for word in re.findall(r"[^\W\d]\w*", text))
    return known and re.fullmatch(r"[\w\s()\[\]+\-*/%.,'=<>!&|~]*", text) is not None


def _saved(sample: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(sample, buffer)
    return buffer.getvalue()


def _refused(path: Path, content: str) -> InputError:
    return InputError(
        f"{path} contains {content}, which could run code. The file was not loaded. Export the network again, from "
        "layers of torch and with tensors as sample inputs.",
        kind="unusable_file",
    )
