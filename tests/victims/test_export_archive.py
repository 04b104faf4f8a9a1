"""Tests that content of program files that could run code raises an error and is not executed."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy
import torch
from torch import Tensor, nn

from uap.utils.errors import InputError
from uap.victims.adapters.export_archive import checked_copy

pytestmark = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9),
    reason="torch.export.save has the archive format that is read here since torch 2.9",
)


class Hostile:
    """An object that creates a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("trapped",)


class Net(nn.Module):
    """A network whose program has weights, constants, sizes, texts and several outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.scale = torch.tensor([1.0, 2.0, 3.0, 4.0])
        self.mix = nn.Parameter(torch.rand(4, 4))

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.norm(self.conv(x)) * self.scale.view(1, 4, 1, 1)
        ramp = torch.arange(y.shape[-1], device=x.device) / x.shape[-1]
        mixed = torch.einsum("bchw,cd->bdhw", y, self.mix) + ramp
        return {"out": nn.functional.interpolate(mixed, x.shape[-2:], mode="bilinear"), "aux": (y, y.mean())}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        Net().eval(), (torch.rand(2, 3, 8, 12),), dynamic_shapes=({0: auto, 2: auto, 3: auto},)
    )
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    torch.export.save(program, path)
    return path


def changed(exported: Path, path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """Write the file with some records changed."""
    with zipfile.ZipFile(exported) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(records)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(f"net/{name}", content)
    return path


def in_program(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, bytes]], object]:
    """Return the function that changes the graph of the program."""

    def rewrite(records: dict[str, bytes]) -> None:
        program = json.loads(records["models/model.json"])
        change(program)
        records["models/model.json"] = json.dumps(program).encode()

    return rewrite


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def pickled_weight(records: dict[str, bytes]) -> None:
    config = json.loads(records["data/weights/model_weights_config.json"])
    config["config"]["conv.weight"] |= {"use_pickle": True}
    records["data/weights/model_weights_config.json"] = json.dumps(config).encode()
    records["data/weights/weight_0"] = saved(Hostile())


def opaque_constant(records: dict[str, bytes]) -> None:
    config = json.loads(records["data/constants/model_constants_config.json"])
    config["config"]["scale"] |= {"path_name": "opaque_obj_0"}
    records["data/constants/model_constants_config.json"] = json.dumps(config).encode()
    records["data/constants/opaque_obj_0"] = pickle.dumps(Hostile())


def hostile_sample(records: dict[str, bytes]) -> None:
    records["data/sample_inputs/model.pt"] = saved(((Hostile(),), {}))


def graph(program: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = program["graph_module"]["graph"]
    return found


def foreign_call(program: dict[str, Any]) -> None:
    node = graph(program)["nodes"][0]
    node |= {"target": "torch.os.mkdir", "inputs": [{"name": "", "arg": {"as_string": "trapped"}, "kind": 1}]}


def evaluated_size(program: dict[str, Any]) -> None:
    sizes = graph(program)["tensor_values"]["x"]["sizes"]
    sizes[0] = {"as_expr": {"expr_str": "__import__('os').mkdir('trapped')", "hint": {"as_int": 2}}}


def built_up_size(program: dict[str, Any]) -> None:
    """SymPy resolves the names of built-in functions of Python."""
    code = "+".join(f"chr({ord(letter)})" for letter in "__import__('os').mkdir('trapped')")
    graph(program)["tensor_values"]["x"]["sizes"][0] = {"as_expr": {"expr_str": f"eval({code})", "hint": {"as_int": 2}}}


def condition(program: dict[str, Any]) -> None:
    program["guards_code"].append("L['x'].size()[0] > (__import__('os').mkdir('trapped') or 0)")


def name_with_code(program: dict[str, Any]) -> None:
    graph(program)["nodes"][0]["name"] = "x\n    __import__('os').mkdir('trapped')\n    y"


def imported_enumeration(program: dict[str, Any]) -> None:
    context = json.dumps({"__enum__": True, "fqn": "antigravity:X", "name": "Y"})
    leaf = {"type": "builtins.dict", "context": context, "children_spec": []}
    program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps([1, leaf])


def operator_that_reads_a_file(program: dict[str, Any]) -> None:
    graph(program)["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "a pickled weight": (pickled_weight, r"the pickled object conv\.weight"),
    "an opaque constant": (opaque_constant, "the pickled object scale"),
    "sample inputs": (hostile_sample, "sample inputs other than tensors"),
    "a call": (in_program(foreign_call), r"target 'torch\.os\.mkdir'"),
    "an expression": (in_program(evaluated_size), r"expr_str .__import__"),
    "an expression of numbers": (in_program(built_up_size), r"expr_str 'eval\(chr"),
    "a condition": (in_program(condition), "guards_code .L"),
    "a name": (in_program(name_with_code), r"name .x\\n"),
    "a tree": (in_program(imported_enumeration), "out_spec"),
    "an operator on files": (in_program(operator_that_reads_a_file), "target 'torch.ops.aten.from_file.default'"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_with_code_raise_error_and_are_not_executed(exported: Path, tmp_path: Path, name: str) -> None:
    change, what = HOSTILE[name]
    path = changed(exported, tmp_path / "hostile.pt2", change)
    with pytest.raises(InputError, match=rf"hostile\.pt2 contains {what}.* could run code\. The file was not loaded"):
        checked_copy(path)
    assert not Path("trapped").exists()


def test_hostile_files_would_execute_code() -> None:
    """Check that torch.export.load executes the code of the file."""
    torch.load(io.BytesIO(saved(Hostile())), weights_only=False)
    os.rmdir("trapped")
    program: dict[str, Any] = {"graph_module": {"graph": {"tensor_values": {"x": {"sizes": [None]}}}}}
    built_up_size(program)
    sympy.sympify(graph(program)["tensor_values"]["x"]["sizes"][0]["as_expr"]["expr_str"])
    os.rmdir("trapped")


def test_compiled_library_is_left_out(exported: Path, tmp_path: Path) -> None:
    library = {"data/aotinductor/model/net.so": b"\x7fELF", "data/extra/readme": b"text"}
    path = changed(exported, tmp_path / "compiled.pt2", lambda records: records.update(library))
    with zipfile.ZipFile(checked_copy(path)) as archive:
        names = archive.namelist()
    assert not any("aotinductor" in name or "extra" in name for name in names)
    assert torch.export.load(checked_copy(path))


def test_program_has_the_output_of_the_network(exported: Path) -> None:
    program = torch.export.load(checked_copy(exported)).module()
    image = torch.rand(3, 3, 10, 16)
    expected = Net().eval()(image)
    torch.testing.assert_close(program(image)["out"], expected["out"])
    torch.testing.assert_close(program(image)["aux"], expected["aux"])


def test_file_without_a_program_raises_error(exported: Path, tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "weights.pt2")
    (tmp_path / "text.pt2").write_text("text")
    (tmp_path / "half.pt2").write_bytes(exported.read_bytes()[:5000])
    changed(exported, tmp_path / "json.pt2", lambda records: records.update({"models/model.json": b"{"}))
    for name in ("weights", "text", "half", "json"):
        with pytest.raises(
            InputError, match=rf"{name}\.pt2 cannot be read as a program of torch\.export\.save .*again"
        ):
            checked_copy(tmp_path / f"{name}.pt2")
