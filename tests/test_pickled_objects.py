"""Tests that only the data of published checkpoints is read, and that nothing in them is executed."""

import argparse
import builtins
import collections
import functools
import io
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from uap.utils.errors import InputError
from uap.utils.safe_load import load_leaving_out, safe_load
from uap.victims.weights import read_state_dict

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2)}


class History:
    """An object like those of mmengine: arrays, and its own functions by `getattr`."""

    def __init__(self) -> None:
        self.losses = np.array([0.5, 0.25])
        self.statistics = {"mean": self.mean}

    def mean(self) -> float:
        return float(self.losses.mean())


class Settings(dict[str, Any]):
    """A dictionary like those of EasyDict or yacs."""


class Slots:
    __slots__ = ("rate",)

    def __init__(self) -> None:
        self.rate = 0.1


class Reduced:
    """An object whose pickle is a call of a function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


BESIDE: dict[str, tuple[Callable[[], Any], str]] = {
    "a namespace": (lambda: argparse.Namespace(lr=0.1, out=Path("x")), "argparse.Namespace"),
    "a path": (lambda: Path("runs/1"), "pathlib.PosixPath"),
    "a history": (History, "tests.test_pickled_objects.History"),
    "a kind of dictionary": (lambda: Settings(lr=0.1, net=Settings(depth=3)), "tests.test_pickled_objects.Settings"),
    "a counter with a default": (lambda: collections.defaultdict(list, {"a": [1]}), "collections.defaultdict"),
    "slots": (Slots, "tests.test_pickled_objects.Slots"),
    "a key": (lambda: {Path("a"): 1}, "pathlib.PosixPath"),
    "a partial": (lambda: functools.partial(int, "7"), "functools.partial"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("beside", BESIDE)
def test_objects_other_than_data_are_left_out_and_named(tmp_path: Path, beside: str, zipped: bool) -> None:
    make, name = BESIDE[beside]
    content = {"state_dict": TENSORS, "extra": make(), "epoch": 3}
    torch.save(content, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    with pytest.warns(UserWarning, match=f"net.pth: .* left out: .*{name}"):
        found = read_state_dict(tmp_path / "net.pth")
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)
    with pytest.raises(InputError, match=rf"net.pth .* asks to run code .*\({name.split('.')[0]}\.|getattr\)"):
        safe_load(tmp_path / "net.pth")


ARRAYS: dict[str, NDArray[Any]] = {
    "float64": np.linspace(0, 1, 6).reshape(2, 3),
    "float32, by columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "other bytes first": np.arange(4, dtype=">i2"),
    "bool": np.array([True, False]),
    "text": np.array(["road", "car"]),
    "objects": np.array([1, "a", None], dtype=object),
    "none": np.zeros((0, 3)),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_data(tmp_path: Path, name: str, zipped: bool) -> None:
    content = {"net": TENSORS, "a": ARRAYS[name], "deep": [(ARRAYS[name],)], "score": np.float32(0.5)}
    torch.save(content, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    found: Any = safe_load(tmp_path / "net.pth")
    for array in (found["a"], found["deep"][0][0]):
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == ARRAYS[name].dtype.newbyteorder("=")
    assert found["score"] == 0.5


def test_arrays_are_loaded_as_tensors(tmp_path: Path) -> None:
    torch.save({name: tensor.numpy().astype(">f4") for name, tensor in TENSORS.items()}, tmp_path / "net.pth")
    found = read_state_dict(tmp_path / "net.pth")
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_file_without_tensors_names_the_object(tmp_path: Path) -> None:
    torch.save({"opt": argparse.Namespace(lr=0.1)}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"net\.pth contains no tensors.*argparse\.Namespace"):
        read_state_dict(tmp_path / "net.pth")


def _script(path: Path) -> None:
    torch.jit.script(nn.Conv2d(3, 2, 1)).save(path)  # type: ignore[no-untyped-call]


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle", "sys_info"):
            content = pickle.dumps(Reduced(os.mkdir, "executed"), 2)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit.load:UserWarning")
@pytest.mark.parametrize(("write", "message"), [(_script, "TorchScript .*uap.victims.Exported"), (_tar, "tar format")])
def test_other_formats_are_named_and_not_executed(tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / "net.pth")
    for read in (safe_load, read_state_dict):
        with pytest.raises(InputError, match=message):
            read(tmp_path / "net.pth")
    assert not Path("executed").exists()


HOSTILE: dict[str, Callable[[], Any]] = {
    "os.system": lambda: Reduced(os.system, "mkdir executed"),
    "os.mkdir": lambda: Reduced(os.mkdir, "executed"),
    "eval": lambda: Reduced(builtins.eval, "__import__('os').mkdir('executed')"),
    "exec": lambda: Reduced(builtins.exec, "import os; os.mkdir('executed')"),
    "import": lambda: Reduced(builtins.__import__, "executed"),
    "subprocess": lambda: Reduced(subprocess.check_call, ["mkdir", "executed"]),
    "a file": lambda: Reduced(builtins.open, "executed", "w"),
    "a method": lambda: Reduced(getattr, Path("executed"), "mkdir"),
    "a call of a method": lambda: Reduced(functools.partial(os.mkdir, "executed")),
    "torch.save": lambda: Reduced(torch.save, 1, "executed"),
    "torch.load": lambda: Reduced(functools.partial(torch.load, "evil.pth", weights_only=False)),
    "torch.hub": lambda: Reduced(torch.hub.load, ".", "executed"),
    "a list": lambda: Reduced(torch.serialization.add_safe_globals, [os.mkdir]),
    "numpy": lambda: Reduced(np.load, "evil.npy", None, True),
    "a pickle within": lambda: Reduced(pickle.loads, pickle.dumps(Reduced(os.mkdir, "executed"))),
    "within a namespace": lambda: argparse.Namespace(a=[{"b": Reduced(os.mkdir, "executed")}]),
    "within an array": lambda: np.array([Reduced(os.mkdir, "executed")], dtype=object),
    "a torch array": lambda: Reduced(torch.Tensor.numpy, Reduced(os.mkdir, "executed")),
}


@pytest.mark.parametrize("write", ["zipped", "old", "bare"])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_code_in_a_file_is_executed(tmp_path: Path, name: str, write: str) -> None:
    content, path = {"a": torch.ones(2), "b": HOSTILE[name]()}, tmp_path / "net.pth"
    Path("evil.pth").write_bytes(pickle.dumps(Reduced(os.mkdir, "executed")))
    np.save("evil.npy", np.array([1]))
    if write == "bare":
        path.write_bytes(pickle.dumps(content["b"], 2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=write == "zipped")
    before, allowed = set(tmp_path.iterdir()), set(torch.serialization.get_safe_globals())
    with pytest.raises(InputError):
        safe_load(path)
    try:
        loaded, left_out = load_leaving_out(path)
        assert left_out
        assert torch.equal(loaded["a"], torch.ones(2))  # type: ignore[index]
    except InputError as error:
        refused = str(error)
        assert "damaged or asks to run code" in refused
    assert set(tmp_path.iterdir()) == before
    assert set(torch.serialization.get_safe_globals()) == allowed


def test_hostile_files_would_execute_code(tmp_path: Path) -> None:
    torch.save(Reduced(os.mkdir, str(tmp_path / "executed")), tmp_path / "net.pth")
    torch.load(tmp_path / "net.pth", weights_only=False)
    assert (tmp_path / "executed").exists()


class Raw:
    """Return a forged state of a NumPy array."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return np.ndarray, ((0,), "b"), self.state


class RawKind:
    """Return a dtype whose layout exceeds its memory, or hides that it contains pointers."""

    def __init__(self, code: str, *state: Any) -> None:
        self.code = code
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, (self.code, False, True), self.state


FORGED = {
    "fields": Raw(1, (1,), RawKind("V8", 3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0), False, b"\1" * 8),
    "a subarray": Raw(1, (1,), RawKind("V8", 3, "|", (np.dtype("O"), (1,)), None, None, 8, 1, 0), False, b"\1" * 8),
    "pointers": Raw(1, (1,), RawKind("O", 3, "|", None, None, None, 8, 1, 0), False, b"\1" * 8),
    "too short": Raw(1, (1000000,), RawKind("f8", 3, "<", None, None, None, -1, -1, 0), False, b"\1" * 8),
    "a code that is none": Raw(1, (1,), RawKind("nothing", 3, "<", None, None, None, -1, -1, 0), False, b"\1"),
    "no dtype": Raw(1, (1,), "f8", False, b"\1" * 8),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_array_raises_error(tmp_path: Path, name: str) -> None:
    torch.save({"a": FORGED[name]}, tmp_path / "net.pth")
    for read in (safe_load, load_leaving_out):
        with pytest.raises(InputError, match="damaged"):
            read(tmp_path / "net.pth")


def test_damaged_archive_raises_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("net/data.pkl", b"cos\nsystem\n(S'mkdir executed'\ntR.")
        archive.writestr("net/version", b"3")
    with pytest.raises(InputError, match="damaged or asks to run code"):
        read_state_dict(tmp_path / "net.pth")
    assert not Path("executed").exists()


def test_multi_disk_zip_archive_raises_error(tmp_path: Path) -> None:
    """The standard library raises a different error for such a file."""
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 2)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04" + bytes(100) + locator + end)
    for read in (safe_load, read_state_dict):
        with pytest.raises(InputError, match="damaged"):
            read(tmp_path / "net.pth")
