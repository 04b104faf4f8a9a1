"""Tests of file permissions: messages about unreadable files, and the mode of new files."""

import os
import pathlib
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.helpers import attack_args, make_camvid
from uap import fit
from uap.configuration.components import build_component
from uap.configuration.config_files import read_configuration
from uap.universal.checkpoints import read_checkpoint
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import load_perturbation, save_perturbation
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.paths import check_file
from uap.victims import Victim
from uap.victims.weights import read_state_dict


@pytest.fixture(params=[0o022, 0o027, 0o002])
def mode(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return the mode of a new file under the umask."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_perturbation_file_has_the_default_mode(tmp_path: Path, mode: int) -> None:
    save_perturbation(Perturbation((4, 4), 10), tmp_path / "p.safetensors", {})
    save_perturbation(Perturbation((4, 4), 10), tmp_path / "p.safetensors", {})
    assert mode_of(tmp_path / "p.safetensors") == mode


def test_restricted_file_mode_is_reset(tmp_path: Path, mode: int) -> None:
    with atomic_file(tmp_path / "table.csv") as temporary:
        temporary.touch(0o600)
    assert mode_of(tmp_path / "table.csv") == mode


def test_files_of_a_run_and_cache_have_the_default_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UAP_CACHE", str(tmp_path / "own cache"))
    before = os.umask(0o022)
    try:
        fit.main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", trainer__max_epochs=1))
    finally:
        os.umask(before)
    files = [path for name in ("out", "own cache") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert {"perturbation.safetensors", "last.ckpt", "metrics.csv"} <= {path.name for path in files}
    assert {path.name: mode_of(path) for path in files if mode_of(path) != 0o644} == {}


def write_all(folder: Path) -> dict[str, Callable[[], Any]]:
    """Write one file of every kind that a user can give; return the functions that read them."""
    paths = {name: folder / name for name in ("net.pth", "net.safetensors", "p.safetensors", "last.ckpt", "net.yaml")}
    torch.save({"a": torch.ones(2)}, paths["net.pth"])
    torch.save({"a": torch.ones(2)}, paths["last.ckpt"])
    save_file({"a": torch.ones(2)}, paths["net.safetensors"])
    save_perturbation(Perturbation((4, 4), 10), paths["p.safetensors"], {})
    paths["net.yaml"].write_text("model: {}\n")
    return {
        "net.pth": lambda: read_state_dict(paths["net.pth"]),
        "net.safetensors": lambda: read_state_dict(paths["net.safetensors"]),
        "p.safetensors": lambda: load_perturbation(paths["p.safetensors"]),
        "last.ckpt": lambda: read_checkpoint(paths["last.ckpt"], "perturbation"),
        "net.yaml": lambda: read_configuration(str(paths["net.yaml"])),
        "a component of net.yaml": lambda: build_component(paths["net.yaml"], "model.victim", Victim),
    }


@pytest.mark.parametrize("refuses", ["open", "stat"])
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "p.safetensors", "last.ckpt", "net.yaml",
                                  "a component of net.yaml"])  # fmt: skip
def test_message_names_missing_read_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, refuses: str
) -> None:
    read = write_all(tmp_path)[name]

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:  # the tests may run as root
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, refuses, refuse)
        with pytest.raises(InputError, match=r"cannot be read \(Permission denied\).*permissions") as refused:
            read()
    assert "There is no" not in str(refused.value)
    assert "damaged" not in str(refused.value)


@pytest.mark.parametrize("name", ["none", "a\0b", "folder", "file/within"])
def test_path_other_than_a_file_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"There is no video .*Copy it"):
        check_file(tmp_path / name, "video", "Copy it.")


def test_message_names_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        check_file(tmp_path)
