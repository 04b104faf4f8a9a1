"""Tests of the listing of files by every reader, and of the messages about other files."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.datasets.test_video import draw
from tests.helpers import SIZE, make_camvid, make_cityscapes, save, scene
from uap.data import BDD100K, CamVid, Cityscapes, ImageFolder, PascalVOC, VideoFrames
from uap.datasets.files import ENDINGS, files_below
from uap.evaluation.adversarial_pictures import find_inputs

HIDDEN = ("._x.png", "._x.jpg", ".x.png", "._x_leftImg8bit.png", "._v.mp4", ".DS_Store", "Thumbs.db", "__MACOSX/x.png")


def picture(path: Path) -> Path:
    return save(path, scene(np.random.default_rng(0))[0])


def add_hidden(folder: Path) -> None:
    for name in HIDDEN:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(b"a file of the system")


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_links_are_followed_and_cycles_end(tmp_path: Path) -> None:
    for name in ("own/a/1.png", "elsewhere/2.png", "elsewhere/deep/3.png"):
        picture(tmp_path / name)
    (tmp_path / "own/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/deep/up").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "own/a/self").symlink_to(tmp_path / "own")
    (tmp_path / "own/0_first").symlink_to(tmp_path / "own/a")  # the target is read under its own name
    (tmp_path / "own/loop").symlink_to("loop")
    assert names(tmp_path / "own") == ["a/1.png", "linked/2.png", "linked/deep/3.png", "loop"]


def camvid(root: Path) -> tuple[Path, Callable[[], int]]:
    make_camvid(root)
    return root / "train", lambda: len(CamVid(str(root)).dataset("train").items)


def cityscapes(root: Path) -> tuple[Path, Callable[[], int]]:
    make_cityscapes(root)
    return root / "leftImg8bit/train/aachen", lambda: len(Cityscapes(str(root)).dataset("train").items)


def bdd100k(root: Path) -> tuple[Path, Callable[[], int]]:
    for i in range(6):
        picture(root / f"images/10k/train/{i}.jpg")
    return root / "images/10k/train", lambda: len(BDD100K(str(root)).dataset("train").items)


def voc(root: Path) -> tuple[Path, Callable[[], int]]:
    for i in range(6):
        picture(root / f"JPEGImages/{i}.jpg")
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(map(str, range(6))))
    return root / "JPEGImages", lambda: len(PascalVOC(str(root)).dataset("train").items)


def folder(root: Path) -> tuple[Path, Callable[[], int]]:
    for i in range(6):
        picture(root / f"a/{i}.png")
    return root / "a", lambda: len(ImageFolder(str(root), scored_share=0).dataset("train").items)


def videos(root: Path) -> tuple[Path, Callable[[], int]]:
    draw(root / "a/1.mp4", frames=6, size=SIZE)
    return root / "a", lambda: len(VideoFrames(str(root), SIZE, 1, scored_share=0).dataset("train").items)


def apply(root: Path) -> tuple[Path, Callable[[], int]]:
    for i in range(6):
        picture(root / f"a/{i}.png")
    return root / "a", lambda: len(find_inputs([root], root / "out"))


READERS = [camvid, cityscapes, bdd100k, voc, folder, videos, apply]


@pytest.mark.parametrize("make", READERS)
def test_readers_ignore_hidden_files_and_follow_links(make: Callable[..., Any], tmp_path: Path) -> None:
    path, count = make(tmp_path / "root")
    assert count() == 6
    add_hidden(path)
    assert count() == 6
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert count() == 6


def test_all_image_formats_are_found(tmp_path: Path) -> None:
    assert {".jfif", ".jpe", ".gif", ".ppm", ".jp2"} <= set(ENDINGS)
    for number, ending in enumerate(("jfif", "JPE", "gif", "ppm", "jp2")):
        picture(tmp_path / f"{number}.{ending}")
    data = ImageFolder(str(tmp_path), SIZE, scored_share=0)
    assert [item.name for item in data.dataset("train").items] == list("01234")
    assert all(data.dataset("train").read_image(item.image).shape == (*SIZE, 3) for item in data.dataset("train").items)


def test_labeled_images_of_other_formats_are_read(tmp_path: Path) -> None:
    make_camvid(tmp_path)
    with Image.open(tmp_path / "train/frame_000.png") as opened:
        opened.save(tmp_path / "train/frame_000.jpg")
    (tmp_path / "train/frame_000.png").unlink()
    items = CamVid(str(tmp_path)).dataset("train").items
    assert [item.image.name for item in items][:2] == ["frame_000.jpg", "frame_001.png"]
    assert items[0].labels == tmp_path / "trainannot/frame_000.png"


@pytest.mark.parametrize("read", ["folder", "apply", "camvid", "cityscapes"])
def test_unreadable_files_are_reported_once(read: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, count = {"folder": folder, "apply": apply, "camvid": camvid, "cityscapes": cityscapes}[read](tmp_path)
    for name in ("a.heic", "b.HEIC", "c.txt", ".hidden.txt"):
        (path / name).write_bytes(b"")
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        count()
        count()
    said = [record.getMessage() for record in caplog.records if "Left out" in record.getMessage()]
    assert len(said) == 1
    assert "2 .heic, 1 .txt" in said[0]


def test_images_beside_split_folders_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("train/1.png", "extra/2.png", "3.png", "notes.txt"):
        picture(tmp_path / name) if name != "notes.txt" else (tmp_path / name).write_text("")
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        assert len(ImageFolder(str(tmp_path)).dataset("train").items) == 1
    assert "Left out: 3.png, extra." in caplog.text


def test_folder_without_read_permission_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a/1.png", "closed/2.png"):
        picture(tmp_path / name)
    scan = os.scandir

    def refuse(path: Path) -> Any:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        assert names(tmp_path) == ["a/1.png"]
    assert "without read permission: 1 folders" in caplog.text
