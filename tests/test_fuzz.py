"""Fuzz tests of readers: arbitrary files are read or raise an InputError, without hanging or executing code."""

import contextlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save as safetensors

from uap import fit
from uap.configuration.config_files import read_configuration
from uap.configuration.parser_messages import sentence
from uap.datasets.pictures import read_image, read_mask
from uap.datasets.sources import ZipMember, members
from uap.universal.perturbation_files import load_perturbation
from uap.utils.errors import InputError
from uap.utils.safe_load import safe_load

CASES = settings(
    max_examples=int(os.environ.get("UAP_FUZZ", "150")),
    deadline=5000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""Number of cases of each test; UAP_FUZZ sets a larger number."""


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def picture(mode: str, kind: str) -> bytes:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, kind)
    return content.getvalue()


def saved(value: Any) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.png", picture("L", "PNG"))
        archive.writestr("../../outside.png", picture("L", "PNG"))
    return content.getvalue()


WHOLE = {
    "png": picture("RGB", "PNG"),
    "mask": picture("P", "PNG"),
    "jpeg": picture("RGB", "JPEG"),
    "pth": saved({"conv.weight": torch.ones(2, 2), "epoch": 3}),
    "ckpt": saved({"state_dict": {"perturbation.proto": torch.zeros(3, 2, 2)}}),
    "hostile": saved({"a": Hostile()}),
    "safetensors": safetensors({"perturbation": torch.zeros(3, 2, 2)}, {"epsilon": "10"}),
    "zip": zipped(),
    "yaml": b"data:\n  class_path: uap.data.CamVid\n  init_args: {size: [8, 8]}\nmodel: {epsilon: 10}\n",
}


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> bytes:
    """Return a valid file with changed, removed or inserted bytes or truncated, or arbitrary bytes."""
    content = bytearray(WHOLE[kind])
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        change = draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        if change == "set" and content:
            content[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del content[at:]
        elif change == "insert":
            content[at:at] = draw(st.binary(max_size=16))
        else:
            del content[at : at + draw(st.integers(1, 16))]
    return draw(st.sampled_from([bytes(content), draw(st.binary(max_size=200))]))


READERS: dict[str, Callable[[Path], object]] = {
    "png": read_image,
    "mask": read_mask,
    "jpeg": read_image,
    "pth": safe_load,
    "ckpt": safe_load,
    "hostile": safe_load,
    "safetensors": load_perturbation,
    "zip": lambda path: [read_image(ZipMember(path, name)) for name in members(path)],
    "yaml": lambda path: read_configuration(str(path)),
}


@pytest.fixture
def nothing_outside(tmp_path: Path) -> Iterator[None]:
    before = set(tmp_path.parent.iterdir())
    yield
    assert set(tmp_path.parent.iterdir()) == before
    assert not list(tmp_path.rglob("executed"))
    assert not list(tmp_path.rglob("outside.png"))


@pytest.mark.filterwarnings("ignore")  # Pillow's, of odd pictures
@pytest.mark.parametrize("kind", READERS)
@pytest.mark.usefixtures("nothing_outside")
@CASES
@given(data=st.data())
def test_damaged_file_is_read_or_raises_error(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / f"file.{kind}"
    path.write_bytes(data.draw(damaged(kind)))
    refusal = str(path)
    try:
        READERS[kind](path)
    except InputError as error:
        refusal = str(error)
    assert str(path) in refusal


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


NAMES = st.sampled_from(["data", "model", "trainer", "class_path"]) | st.text(max_size=8)


PLACES = {"defaults", "modules"}
"""The keys of a configuration that say where settings are read, and are no settings."""


@CASES
@given(content=st.dictionaries(NAMES, VALUES))
def test_arbitrary_settings_are_components_or_raise_error(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        found = read_configuration(str(path))
    except InputError:
        is_wrong = not isinstance(content.get("trainer", {}), dict) or any(content.get(place) for place in PLACES)
        assert is_wrong or "&id" in path.read_text()  # an anchor, for aliases
        return
    assert set(found[0]) == set(content) - PLACES


SETTINGS = [
    "data",
    "data.size",
    "data.limit",
    "data.split",
    "model.victim",
    "model.victim.network",
    "model.victim.classes",
    "model.objective",
    "model.epsilon",
    "model.tile",
    "model.loss",
    "model.optimizer",
    "trainer.max_epochs",
    "trainer.callbacks",
    "trainer.precision",
    "seed_everything",
]


@settings(CASES, max_examples=max(1, CASES.max_examples // 3))
@given(name=st.sampled_from(SETTINGS), value=VALUES, is_file=st.booleans())
def test_arbitrary_value_of_a_setting_is_accepted_or_raises_error(
    tmp_path: Path, name: str, value: Any, is_file: bool
) -> None:
    given = [f"--{name}={value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True)}"]
    if is_file:
        for key in reversed(name.split(".")):
            value = {key: value}
        (tmp_path / "x.yaml").write_text(yaml.safe_dump(value))
        given = [f"--config={fit.DEFAULT_CONFIG}", f"--config={tmp_path / 'x.yaml'}"]
    with pytest.raises((InputError, SystemExit)) as ended, contextlib.redirect_stdout(io.StringIO()):
        fit.main([*given, "--print_config"])
    assert not isinstance(ended.value, SystemExit) or not ended.value.code


@CASES
@given(message=st.text())
def test_arbitrary_error_becomes_one_line(message: str) -> None:
    assert "\n" not in sentence(message)
