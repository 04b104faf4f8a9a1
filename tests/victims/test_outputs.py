from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch

from uap.utils.errors import InputError
from uap.victims.outputs import logits_of

A, B, C = torch.zeros(1, 5, 4, 6), torch.ones(1, 5, 2, 3), torch.ones(1, 7)
Heads = namedtuple("Heads", ["main", "aux"])


@pytest.mark.parametrize(
    "output",
    [
        A,
        (A, B),
        [A, B],
        [(A, B), C],
        ([[A]], B),
        Heads(A, B),
        {"out": A, "aux": B},
        OrderedDict(aux=B, out=A),
        {"loss": C, "logits": A},
        {"anything": A},
        ({"aux": B, "out": A}, C),
        {"out": [A, B]},
    ],
)
def test_default_logits_are_the_first_tensor_or_a_known_key(output: Any) -> None:
    assert logits_of(output) is A


@pytest.mark.parametrize(
    ("output", "choice"),
    [
        ((B, A), 1),
        ((B, A), "1"),
        ({"1": A, "2": B}, 1),
        ({"x.y": A}, "x.y"),
        ({"x": (B, A)}, "x.1"),
        ([B, C, A], -1),
        ({"out": B, "seg": A}, "seg"),
        ((C, {"out": A}), 1),
        (Heads(B, A), 1),
    ],
)
def test_output_can_be_selected(output: Any, choice: str | int) -> None:
    assert logits_of(output, choice) is A


@pytest.mark.parametrize(
    ("output", "choice", "sentence"),
    [
        ({"mask": A, "edge": B}, None, r"a dictionary of mask \(1, 5, 4, 6\), edge .* Set victim\.output"),
        ({"out": A}, "seg", r"victim\.output is 'seg', but the network gives a dictionary of out \(1, 5, 4, 6\)\. Set"),
        ((A, B), 2, r"victim\.output is 2, but .* a tuple of 0: \(1, 5, 4, 6\), 1: \(1, 5, 2, 3\)\. Set it to one"),
        (A, 0, r"victim\.output is 0, but the network gives a tensor \(1, 5, 4, 6\)\. .*or to null"),
        ((A, B), "aux", r"victim\.output is 'aux', but the network gives a tuple of 0:"),
        ([], None, "gives a list of nothing, expected logits, or logits in a tuple or dictionary"),
        ({}, None, "gives a dictionary of nothing, expected logits"),
        (None, None, "gives a NoneType, expected logits"),
        ("logits", None, "gives a str, expected logits"),
        (({"mask": A, "edge": [B]},), None, r"gives a dictionary of mask \(1, 5, 4, 6\), edge list\."),
    ],
)
def test_output_without_logits_is_named(output: Any, choice: str | int | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        logits_of(output, choice)
