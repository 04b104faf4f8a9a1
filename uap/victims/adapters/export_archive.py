"""Reading the archive that torch.export writes as data: what could run code is refused before torch reads it."""

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
"""Folders of raw tensors, with the beginning of the file names in them."""

OPERATOR = re.compile(
    r"torch\.ops\.(aten|torchvision)\.(?!__)(?!from_file)\w+\.\w+"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|torch\.sym_(float|int|max|min|not|sqrt|sum|ite)|math\.(ceil|floor|sqrt|trunc)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|getitem)"
)
"""What a program may call: torch's tensor operators, but none that reads a file, and arithmetic on sizes."""

WORD = re.compile(
    r"[a-z]{1,2}\d+"  # the symbols: s0, u1
    r"|Add|Mul|Pow|Max|Min|Abs|Integer|Rational|Float|Symbol|true|false|True|False|None|And|Or|Not|Eq|Equality|Ne"
    r"|Unequality|Lt|StrictLessThan|Le|LessThan|Gt|StrictGreaterThan|Ge|GreaterThan|evaluate|positive|negative|integer"
    r"|nonnegative|real|precision|dps"  # SymPy's
    r"|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv|FloatTrueDiv|Mod|PythonMod|ModularIndexing|Where|PowByNatural|FloatPow"
    r"|TruncToInt|FloorToInt|CeilToInt|RoundToInt|ToFloat|Identity"  # torch's, of sizes
    r"|L|size|stride|storage_offset|torch|sym_(max|min|float|not|ite)|math|floor|ceil|and|or|not"  # of its conditions
)
"""A name in an expression on sizes."""

NAME = re.compile(r"[\w.:@+ -]*")
TREE = re.compile(r'(?!.*(__enum__|defaultdict))[\w."\\{}\[\]:,/@+ -]*')
PATTERNS = {"target": OPERATOR, "as_operator": OPERATOR, "in_spec": TREE, "out_spec": TREE}
"""The whole of a text in the program, by its key; a `NAME` under any other."""

EXPRESSIONS = ("expr_str", "guards_code")
FREE = ("as_string", "as_strings")
"""Texts that stay texts: the name of an interpolation, the formula of an einsum."""


def checked_copy(path: Path) -> io.BytesIO:
    """Return a copy of a `.pt2` file, of nothing but raw tensors and a program of torch's own operators.

    torch.export.load unpickles sample inputs and tensors that are marked so, loads compiled libraries, evaluates the
    expressions on sizes, and lets a program call any function below `torch`. Nothing of that is in the copy.

    Raises:
        InputError: the file needs more than that, or is none of torch.export.save.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        program = json.loads(records[PROGRAM])
        payloads = {kind: json.loads(records[f"data/{kind}/model_{kind}_config.json"])["config"] for kind in PAYLOADS}
        sample = torch.load(io.BytesIO(records[SAMPLE]), weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, "sample inputs that are not tensors alone") from error
    except Exception as error:  # a damaged file makes the readers raise anything
        raise InputError(
            f"{path} cannot be read as a program of torch.export.save ({error!r}). Export the network again, with the "
            "torch that is installed; one that was compiled (AOTInductor) has no gradient."
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
    """Refuse a part of a program that is not what stands there ordinarily; drop its notes on the source code."""
    if isinstance(value, dict):
        if "metadata" in value:
            value["metadata"] = {}
        for name, part in value.items():
            _check(name, "", path)
            _check(part, name, path)
    elif isinstance(value, list):
        for part in value:
            _check(part, key, path)
    elif isinstance(value, str) and key not in FREE:
        fits = _is_expression(value) if key in EXPRESSIONS else PATTERNS.get(key, NAME).fullmatch(value)
        if not fits:
            raise _refused(path, f"{key or 'the name'} {value[:100]!r}")


def _is_expression(text: str) -> bool:
    text = re.sub(r"L\['\w+'\]", "L", text)
    known = all(WORD.fullmatch(word) for word in re.findall(r"[^\W\d]\w*", text))
    return known and re.fullmatch(r"[\w\s()\[\]+\-*/%.,'=<>!&|~]*", text) is not None


def _saved(sample: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(sample, buffer)
    return buffer.getvalue()


def _refused(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} holds {what}, by which a file could run code of its own, and was not loaded. Export the network "
        "again, from torch's own layers and with tensors as its sample inputs."
    )
