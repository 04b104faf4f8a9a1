"""Tests of atomic writing and of validity checks of checkpoints."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import record_syncs, refuses
from uap.universal.checkpoints import KEYS, WholeCheckpoints, check_identity, discard_half_written, read_checkpoint
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError

LEARNED = "perturbation"


def content(level: float = 1.0) -> dict[str, Any]:
    return dict.fromkeys(KEYS, 0) | {"state_dict": {"perturbation.proto": torch.full((3, 40, 40), level)}}


def checkpoint(path: Path, age: int = 0, level: float = 1.0) -> Path:
    """Write a valid checkpoint that is `age` seconds old."""
    path.parent.mkdir(exist_ok=True)
    torch.save(content(level), path)
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return path


def half(path: Path, age: int = 0) -> Path:
    whole = checkpoint(path, age).read_bytes()
    times = path.stat().st_atime, path.stat().st_mtime
    path.write_bytes(whole[: len(whole) // 2])
    os.utime(path, times)
    return path


def left_of(path: Path) -> Path:
    """Return the path of the unfinished file that a killed run leaves."""
    with contextlib.suppress(FileNotFoundError), atomic_file(path) as unfinished:
        pass
    return unfinished


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kept").mkdir()  # not `checkpoints`, whose files are checked after every test
    return tmp_path / "kept"


def test_checkpoint_is_synced_before_and_after_the_rename(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = checkpoint(folder / "last.ckpt", level=1.0)
    before, calls = last.stat().st_ino, record_syncs(monkeypatch)
    WholeCheckpoints().save_checkpoint(content(2.0), last)
    written = last.stat()
    assert written.st_ino != before
    assert [(name, number) for name, number, _ in calls] == [
        ("sync", written.st_ino),
        ("rename", written.st_ino),
        ("sync", folder.stat().st_ino),
    ]
    assert calls[0][2] == written.st_size  # what is still in the process's own buffer is not synced
    assert [path.name for path in folder.iterdir()] == ["last.ckpt"]
    assert read_checkpoint(last, LEARNED)["state_dict"]["perturbation.proto"].unique() == 2.0


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")])
@pytest.mark.parametrize("fails", ["torch.save", "os.fsync"])
def test_failed_write_keeps_the_previous_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, fails: str
) -> None:
    def full(*args: Any) -> None:
        for file in args[1:]:
            file.write(b"half of a checkpoint")
        raise error

    last = checkpoint(folder / "last.ckpt")
    before = last.read_bytes()
    monkeypatch.setattr(torch if fails == "torch.save" else os, fails.partition(".")[2], full)
    with pytest.raises(InputError, match=r"last\.ckpt cannot be written \(.*\)\. Make room on the disk"):
        WholeCheckpoints().save_checkpoint(content(2.0), last)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"last.ckpt": before}


def flip(path: Path) -> None:
    """Flip bits of the perturbation, which torch loads without an error."""
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(40).numpy().tobytes()) + 2] ^= 4
    path.write_bytes(data)
    assert torch.load(path, weights_only=True)["state_dict"]["perturbation.proto"].isfinite().all()


def replaced(**changes: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        torch.save({name: value for name, value in (content() | changes).items() if value is not None}, path)

    return write


DAMAGED: dict[str, Callable[[Path], object]] = {
    "half of it": half,
    "other bits": flip,
    "no numbers": replaced(state_dict={"perturbation.proto": torch.tensor([0.0, torch.nan])}),
    "no perturbation": replaced(state_dict={"network.weight": torch.ones(3)}),
    "no tensor": replaced(state_dict={"perturbation.proto": 3.0}),
    "no state": replaced(state_dict=None),
    "no steps": replaced(global_step=None),
    "no optimizer": replaced(optimizer_states=None),
    "a list": lambda path: torch.save([1, 2], path),
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_message_about_a_damaged_checkpoint_names_an_older_valid_one(folder: Path, damage: str) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        DAMAGED[damage](checkpoint(folder / name))
    checkpoint(folder / "older.ckpt", age=100)
    checkpoint(folder / "oldest.ckpt", age=200)
    with pytest.raises(InputError, match=r"last\.ckpt .*older\.ckpt is valid: resume from that file\.$") as refused:
        read_checkpoint(folder / "last.ckpt", LEARNED)
    assert "best.ckpt" not in str(refused.value)
    for name in ("older.ckpt", "oldest.ckpt"):
        DAMAGED[damage](folder / name)
    with pytest.raises(InputError) as refused:
        read_checkpoint(folder / "last.ckpt", LEARNED)
    assert "is valid" not in str(refused.value)


def test_unfinished_checkpoint_is_not_suggested(folder: Path) -> None:
    half(folder / "last.ckpt")
    checkpoint(folder / "best.ckpt", age=100)
    checkpoint(left_of(folder / "last.ckpt"))
    with pytest.raises(InputError, match=r"kept/best\.ckpt is valid"):
        read_checkpoint(folder / "last.ckpt", LEARNED)
    (folder / "best.ckpt").unlink()
    with pytest.raises(InputError) as refused:
        read_checkpoint(folder / "last.ckpt", LEARNED)
    assert "is valid" not in str(refused.value)


def test_only_unfinished_checkpoints_are_removed(folder: Path) -> None:
    kept = [checkpoint(folder / name) for name in ("last.ckpt", "best.ckpt", "tmp.ckpt")]
    kept.append(left_of(folder / "table.csv"))
    kept[-1].touch()
    for name in ("last.ckpt", "best.ckpt"):
        half(left_of(folder / name))
    discard_half_written(folder / "last.ckpt")
    assert sorted(folder.iterdir()) == sorted(kept)


def test_resumed_checkpoint_is_not_removed(folder: Path) -> None:
    resumed = checkpoint(left_of(folder / "last.ckpt"))
    discard_half_written(resumed)
    assert list(folder.iterdir()) == [resumed]


@pytest.mark.parametrize("found", [{}, {"uap": {"epsilon": 3.0}}])
def test_checkpoint_without_settings_raises_error(found: dict[str, Any]) -> None:
    with refuses("ckpt_path", "conflict", "its victim is None, here it is abc"):
        check_identity(found, {"epsilon": 3.0, "victim": "abc"})
