"""Tests of the messages about unreadable files."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import save, scene
from uap.datasets.pictures import read_image, read_mask, stored_size
from uap.datasets.sources import ZipMember, members
from uap.datasets.unreadable import check_readable
from uap.utils.errors import InputError

READERS = [read_image, read_mask, stored_size]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return save(tmp_path / "a.png", scene(np.random.default_rng(0))[1])


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.png is empty"),
        (b"<html>404</html>", "a.png is not a picture"),
        (b"x", "a.png is not a picture"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a.png is truncated or damaged"),
    ],
)
def test_message_tells_truncated_images_from_other_files(
    picture: Path, content: bytes, message: str, read: Any
) -> None:
    picture.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(picture)


def test_truncated_jpeg_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(scene(np.random.default_rng(0), (64, 64))[0]).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=r"a\.jpg is truncated or damaged"):
        read_image(path)


@pytest.mark.parametrize("read", READERS)
def test_message_names_too_many_pixels(picture: Path, monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"a.png has too many pixels .*768 pixels.*smaller first") as refused:
        read(picture)
    assert "truncated" not in str(refused.value)


def refuse(*_: Any, **__: Any) -> Any:
    raise PermissionError(13, "Permission denied", "a.png")


@pytest.mark.parametrize("read", READERS)
def test_message_names_missing_read_permission(picture: Path, monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(InputError, match=r"a.png may not be read \(permission denied\)"):
        read(picture)


def test_message_names_missing_read_permission_of_a_zip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.png", b"")
    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    with pytest.raises(InputError, match=r"a\.zip may not be read"):
        members(tmp_path / "a.zip")


def test_message_names_missing_read_permission_of_a_video(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match=r"a\.png may not be read"):
        check_readable(picture)


def test_message_names_too_many_pixels_in_a_zip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.new("L", (40, 40)).save(content, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.png", content.getvalue())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"a.zip/a.png has too many pixels"):
        read_image(ZipMember(tmp_path / "a.zip", "a.png"))
