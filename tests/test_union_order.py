"""Tests that settings with a union type are read independent of earlier imports."""

import inspect
import typing
from pathlib import Path
from typing import Any, Optional, Union

import pytest
import yaml
from pytorch_lightning import Trainer
from torch import Tensor, nn

from tests.helpers import attack_args, make_camvid
from uap import fit
from uap.configuration.components import build_component
from uap.configuration.config_files import Parser

ORDERS: list[Any] = [
    Optional[Union[int, float]],  # noqa: UP007, UP045  # as Lightning writes them
    Optional[Union[float, int]],  # noqa: UP007, UP045
    int | float | None,
    float | int | None,
]


class Heads(nn.Module):
    """A network with a list of three outputs of two classes each."""

    def __init__(self, ratio: "float | int" = 1) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 2, 1) for _ in range(3)])
        self.ratio = ratio

    def forward(self, x: Tensor) -> list[Tensor]:
        return [conv(x) for conv in self.convs]


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Clear the cache of union types, so that Python does not return one in another order."""
    for forget in typing._cleanups:  # type: ignore[attr-defined]
        forget()


def of_type(hint: Any) -> Parser:
    parser = Parser(exit_on_error=False)
    parser.add_argument("--x", type=hint)
    parser.add_argument_group("a group").add_argument("--y", type=hint)
    return parser


@pytest.mark.parametrize("hint", [*ORDERS, *reversed(ORDERS)])
def test_integers_and_fractions_keep_their_types(hint: Any) -> None:
    for text, value in {"1": 1, "1.0": 1.0, "0.25": 0.25}.items():
        found = of_type(hint).parse_args([f"--x={text}", f"--y={text}"])
        assert (found.x, type(found.x)) == (found.y, type(found.y)) == (value, type(value))
    assert of_type(hint).parse_args(["--x=null"]).x is None


@pytest.mark.parametrize("hint", [str | int | None, int | str | None, Union[str, int], Union[int, str]])  # noqa: UP007
def test_text_of_a_number_becomes_a_number(hint: Any) -> None:
    assert of_type(hint).parse_args(["--x=1"]).x == 1
    assert of_type(hint).parse_args(["--x=aux"]).x == "aux"


@pytest.mark.parametrize("hint", ORDERS)
def test_trainer_limits_do_not_depend_on_the_order_of_imports(
    hint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(inspect.unwrap(Trainer.__init__).__annotations__, "limit_train_batches", hint)
    root = make_camvid(tmp_path / "camvid", train=4)
    cli = fit.main(attack_args(root, tmp_path / "out", trainer__limit_train_batches=1, trainer__max_epochs=1))
    assert (cli.trainer.global_step, repr(cli.trainer.limit_train_batches)) == (1, "1")


@pytest.mark.parametrize("hint", [str | int | None, int | str | None])
def test_output_is_selected_by_its_index_on_the_command_line(
    hint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uap.victims import Victim

    monkeypatch.setitem(Victim.__init__.__annotations__, "output", hint)
    changes = {"model__victim__network": "tests.test_union_order.Heads", "model__victim__output": 1}
    root = make_camvid(tmp_path / "camvid")
    cli = fit.main(attack_args(root, tmp_path / "out", trainer__max_epochs=1, **changes))
    assert cli.model.victim.output == 1


def test_single_components_read_unions_in_the_same_way(tmp_path: Path) -> None:
    network = {"class_path": "tests.test_union_order.Heads", "init_args": {"ratio": 2}}
    settings = {"network": network, "classes": ["a", "b"], "output": "1"}
    (tmp_path / "net.yaml").write_text(yaml.safe_dump({"victim": {"class_path": "Victim", "init_args": settings}}))
    from uap.victims import Victim

    victim = build_component(tmp_path / "net.yaml", "victim", Victim)
    assert victim.output == 1
    assert isinstance(victim.network, Heads)
    assert isinstance(victim.network.ratio, int)
